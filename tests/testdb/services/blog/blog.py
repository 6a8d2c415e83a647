"""Flask with Flask-SQLAlchemy and Flask-Migrate; the tests are unittest's."""

import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
migrate = Migrate()


class Post(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String, nullable=False)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    migrate.init_app(app, db)

    @app.post("/posts/<title>")
    def add_post(title: str):
        db.session.add(Post(title=title))
        db.session.commit()
        return {"posts": Post.query.count()}

    return app
