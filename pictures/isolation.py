"""How a test gets its database."""

from pictures.svg import BLUE, GREEN, QUIET, RED, YELLOW, Drawing


def draw() -> str:
    """Return the picture of testdb: from migrations to a test's database, and what is refused."""
    picture = Drawing(880, 470, "How a test gets its database")

    for y, when in [(52, "once, until they change"), (162, "once a worker"), (310, "each test")]:
        picture.text(20, y, when, fill=QUIET)
    for y in (112, 222):
        picture.line((20, y), (860, y), colour="#eaeef2")

    picture.box(190, 20, 190, 66, "migrations/versions", "nothing else makes tables", fill=BLUE)
    picture.line((380, 53), (438, 53), arrow=True)
    picture.box(440, 20, 190, 66, "template", "migrated, with the rows", "of prepare()", fill=BLUE)

    for x, name in [(190, "worker 1"), (440, "worker 2")]:
        picture.line((535, 86), (535, 124), (x + 95, 124), (x + 95, 136), arrow=True)
        picture.box(x, 138, 190, 62, name, "a copy of its own", fill=YELLOW)

    picture.line((285, 200), (285, 244), arrow=True)
    picture.box(
        190,
        246,
        190,
        100,
        "db_session",
        "one transaction, shared",
        "by the test and the app:",
        "commit() is a savepoint",
        fill=GREEN,
    )
    picture.line((285, 346), (285, 384), arrow=True)
    picture.text(285, 404, "rolled back", anchor="middle", bold=True)
    picture.text(285, 424, "with its settings and locks", anchor="middle", fill=QUIET)

    picture.line((535, 200), (535, 244), arrow=True)
    picture.box(
        440,
        246,
        190,
        100,
        "isolated_database",
        "a database of its own:",
        "real commits, threads,",
        "processes, DDL, snapshots",
        fill=GREEN,
    )
    picture.line((535, 346), (535, 384), arrow=True)
    picture.text(535, 404, "changed tables get their first rows", anchor="middle", bold=True)
    picture.text(535, 424, "after DDL, a new copy", anchor="middle", fill=QUIET)

    picture.box(
        690,
        138,
        170,
        84,
        "guard",
        "refuses connections",
        "of tests and of the",
        "processes they start",
        fill=RED,
    )
    picture.box(690, 20, 170, 66, "real databases", "DATABASE_URL, .env", "and the like", fill=RED)
    picture.line((775, 136), (775, 88), colour="#cf222e")
    picture.text(775, 118, "✕", anchor="middle", fill="#cf222e", size=22, bold=True)
    picture.line((630, 296), (775, 296), (775, 224), arrow=True)
    return picture.render()
