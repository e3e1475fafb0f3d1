"""Writes users, and servers that run, into a database that stock JupyterHub has made: seed.py URL USERS RUNNING PORT"""

import sys
from datetime import datetime, timezone

from jupyterhub import orm
from sqlalchemy import insert, select


def name(i):
    return f"user{i:07d}"


def main(url, users, running, port):
    db = orm.new_session_factory(url)()
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    had = {u.name for u in db.execute(select(orm.User.name))}
    new = [{"name": name(i), "created": now, "last_activity": now} for i in range(users) if name(i) not in had]
    if new:
        db.execute(insert(orm.User), new)
    ids = {u.name: u.id for u in db.execute(select(orm.User.name, orm.User.id))}
    if new:
        # As each gets it who logs in for the first time.
        role = db.execute(select(orm.Role.id).where(orm.Role.name == "user")).scalar_one()
        db.execute(insert(orm.Base.metadata.tables["user_role_map"]), [{"user_id": ids[u["name"]], "role_id": role} for u in new])
        db.commit()
    known = {s.user_id: s for s in db.execute(select(orm.Spawner)).scalars() if s.name == ""}
    for i in range(running):
        user = name(i)
        spawner = known.get(ids[user])
        if spawner is None:
            spawner = orm.Spawner(name="", user_id=ids[user])
            db.add(spawner)
        if spawner.server is None:
            spawner.server = orm.Server(proto="http", ip="127.0.0.1", port=port, base_url=f"/user/{user}/", cookie_name=f"jupyterhub-user-{user}")
        spawner.state, spawner.started, spawner.last_activity = {"up": True}, now, now
    db.commit()


main(sys.argv[1], *(int(v) for v in sys.argv[2:]))
