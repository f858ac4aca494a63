"""Durable rows for the servers: one seam (`engine`), two engines (SQLite, PostgreSQL), one dialect of SQL.

Each server's own tables and statements stand in its own module (keim.io.smdp_store ...); what every one of
them needs (connections, migrations, group commit) stands here.
"""
