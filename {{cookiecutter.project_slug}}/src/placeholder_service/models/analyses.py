"""What a language model said about a thought."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from placeholder_service.domain import MODEL_NAME_MAX
from placeholder_service.models.base import Entity, length_between
from placeholder_service.models.thoughts import Thought


class ClaudeAnalysisResult(Entity):
    """One analysis of one thought."""

    __tablename__ = "claude_analysis_results"
    __table_args__ = (
        length_between("model", 1, MODEL_NAME_MAX),
        sa.CheckConstraint("input_tokens >= 0", "input_tokens_not_negative"),
        sa.CheckConstraint("output_tokens >= 0", "output_tokens_not_negative"),
    )

    thought_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("thoughts.id", ondelete="CASCADE"), index=True
    )
    model: Mapped[str] = mapped_column(sa.String(MODEL_NAME_MAX))
    summary: Mapped[str] = mapped_column(sa.Text)
    themes: Mapped[list[str]] = mapped_column(default=list)
    input_tokens: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    output_tokens: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))

    thought: Mapped[Thought] = relationship(lazy="raise")
