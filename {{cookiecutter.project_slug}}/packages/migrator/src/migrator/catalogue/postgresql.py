"""The query that reads everything a PostgreSQL database holds, written from the server's catalogue.

The server lists the columns of its catalogue and what each refers to. So every kind of object that
it knows is read, with every property, whatever its version.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, RowMapping, text

from migrator.history import OWN_TABLES

# Objects with a smaller number came with the server.
FIRST_OBJECT = 16384

# A common table expression of the migrations' own tables, and of what exists because of them: the
# class and the number of each object.
OWN = f"""
    own (class, number) AS (
        SELECT 'pg_class'::regclass::oid, c.oid
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relname = ANY ('{{{",".join(OWN_TABLES)}}}')
        AND relkind = 'r' AND nspname = current_schema()
        UNION
        SELECT d.classid, d.objid FROM own JOIN pg_depend d
        ON d.refclassid = own.class AND d.refobjid = own.number AND d.deptype IN ('a', 'i')
    )
"""

COLUMNS = """
    SELECT c.relname AS catalogue, a.attname AS name, format_type(a.atttypid, NULL) AS type,
           f.pktable::regclass::text AS target
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         AND has_column_privilege(c.oid, a.attnum, 'SELECT')
    LEFT JOIN pg_get_catalog_foreign_keys() f
         ON f.fktable = c.oid AND f.fkcols = ARRAY[a.attname::text]
    WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r'
    ORDER BY c.relname, a.attnum
"""

# Rows and statistics, what the server shares between its databases, and what others include.
LEFT_OUT = {
    *("pg_statistic", "pg_statistic_ext_data", "pg_largeobject", "pg_largeobject_metadata"),
    *("pg_authid", "pg_auth_members", "pg_parameter_acl", "pg_replication_origin", "pg_shdepend"),
    *("pg_shdescription", "pg_shseclabel", "pg_tablespace", "pg_subscription_rel"),
    *("pg_enum", "pg_init_privs"),
}
# Numbers and remnants, which differ between two databases with the same objects.
VOLATILE = {
    *("oid", "relfilenode", "relpages", "reltuples", "relallvisible", "relallfrozen", "relnatts"),
    *("relhasindex", "relhasrules", "relhastriggers", "relhassubclass", "reltoastrelid"),
    *("attnum", "adnum", "atthasmissing", "attmissingval", "indcheckxmin"),
    # Passwords, of subscriptions and user mappings.
    *("subconninfo", "umoptions"),
    *("objid", "objoid", "objsubid", "refobjid", "refobjsubid", "datname", "dathasloginevt"),
}
# Column numbers and parsed expressions, which DEFINITIONS spells out; and transactions.
UNREADABLE = {"int2vector", "smallint[]", "pg_node_tree", "xid", "pg_lsn"}

# What a row means besides its columns, in SQL.
DEFINITIONS = {
    "pg_attrdef": "pg_get_expr(x.adbin, x.adrelid)",
    "pg_class": (
        "concat(CASE WHEN x.relkind IN ('v', 'm') THEN pg_get_viewdef(x.oid) END,"
        " pg_get_expr(x.relpartbound, x.oid),"
        " (SELECT t.reloptions FROM pg_class t WHERE t.oid = x.reltoastrelid))"
    ),
    "pg_constraint": "pg_get_constraintdef(x.oid)",
    "pg_database": "shobj_description(x.oid, 'pg_database')",
    "pg_depend": "(pg_identify_object(x.refclassid, x.refobjid, x.refobjsubid)).identity",
    "pg_index": "pg_get_indexdef(x.indexrelid)",
    "pg_partitioned_table": "pg_get_partkeydef(x.partrelid)",
    "pg_policy": (
        "concat_ws('; ', pg_get_expr(x.polqual, x.polrelid),"
        " pg_get_expr(x.polwithcheck, x.polrelid))"
    ),
    "pg_proc": "CASE WHEN x.prokind <> 'a' THEN pg_get_functiondef(x.oid) END",
    "pg_publication_rel": (
        "concat_ws('; ', pg_get_expr(x.prqual, x.prrelid), (SELECT string_agg(attname, ', '"
        " ORDER BY attname) FROM pg_attribute WHERE attrelid = x.prrelid"
        " AND attnum = ANY (x.prattrs)))"
    ),
    "pg_rewrite": "pg_get_ruledef(x.oid)",
    "pg_statistic_ext": "pg_get_statisticsobjdef(x.oid)",
    "pg_trigger": "pg_get_triggerdef(x.oid)",
    "pg_type": (
        "(SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder)"
        " FROM pg_enum WHERE enumtypid = x.oid)"
    ),
}
# Where a row without a number of its own belongs: class and object, and the part of it.
OWNERS = {
    "pg_aggregate": ("'pg_proc'::regclass", "x.aggfnoid", "0"),
    "pg_attribute": ("'pg_class'::regclass", "x.attrelid", "x.attnum"),
    "pg_db_role_setting": ("'pg_authid'::regclass", "x.setrole", "0"),
    "pg_depend": ("x.classid", "x.objid", "x.objsubid"),
    "pg_description": ("x.classoid", "x.objoid", "x.objsubid"),
    "pg_foreign_table": ("'pg_class'::regclass", "x.ftrelid", "0"),
    "pg_index": ("'pg_class'::regclass", "x.indexrelid", "0"),
    "pg_inherits": ("'pg_class'::regclass", "x.inhrelid", "0"),
    "pg_partitioned_table": ("'pg_class'::regclass", "x.partrelid", "0"),
    "pg_range": ("'pg_type'::regclass", "x.rngtypid", "0"),
    "pg_seclabel": ("x.classoid", "x.objoid", "x.objsubid"),
    "pg_sequence": ("'pg_class'::regclass", "x.seqrelid", "0"),
    "pg_ts_config_map": ("'pg_ts_config'::regclass", "x.mapcfg", "0"),
}
# Which rows count.
CONDITIONS = {
    "pg_attribute": "x.attnum > 0 AND NOT x.attisdropped",
    "pg_database": "x.datname = current_database()",
    "pg_db_role_setting": (
        "x.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ),
    # Who owns a sequence, and what belongs to or depends on an extension.
    "pg_depend": (
        "(x.deptype IN ('e', 'x') OR x.deptype = 'a' AND EXISTS"
        " (SELECT FROM pg_sequence WHERE seqrelid = x.objid))"
    ),
    "pg_subscription": (
        "x.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ),
    "pg_trigger": "NOT x.tgisinternal",
}
# For these, it does not matter to what they belong.
OF_THE_SERVER = {"pg_database", "pg_db_role_setting", "pg_depend"}
# By which letter PostgreSQL knows the default privileges of a kind; and where the owner stands.
PRIVILEGES = {
    "pg_class": ("CASE x.relkind WHEN 'S' THEN 's' ELSE 'r' END", "relowner"),
    "pg_database": ("'d'", "datdba"),
    "pg_foreign_data_wrapper": ("'F'", "fdwowner"),
    "pg_foreign_server": ("'S'", "srvowner"),
    "pg_language": ("'l'", "lanowner"),
    "pg_namespace": ("'n'", "nspowner"),
    "pg_proc": ("'f'", "proowner"),
    "pg_type": ("'T'", "typowner"),
}


def catalogue_query(connection: Connection) -> str:
    """Return a query for kind, name and each property of every object of the database."""
    columns = defaultdict(list)
    for column in connection.execute(text(COLUMNS)).mappings():
        if column["catalogue"] not in LEFT_OUT:
            columns[column["catalogue"]].append(column)
    every = " UNION ALL ".join(select(name, found) for name, found in columns.items())
    return f"""
        WITH RECURSIVE {OWN}
        SELECT kind, name, concat(key, ': ', value)
        FROM ({every}) AS found, jsonb_each_text(properties)
        WHERE name !~ '^pg_(toast|temp)'
    """


def select(catalogue: str, columns: Sequence[RowMapping]) -> str:
    """Return the query for the objects in one table of the catalogue."""
    own = (f"'{catalogue}'::regclass", "x.oid", "0")
    kind, number, part = OWNERS.get(catalogue, own)
    parts = [f"'{name}', {value}" for name, value in values(catalogue, columns)]
    is_ours = f"""
        ({number} >= {FIRST_OBJECT} OR {number} = to_regnamespace('public')) AND NOT EXISTS (
            SELECT FROM pg_depend d
            WHERE d.classid = {kind} AND d.objid = {number} AND d.deptype = 'e'
        )
    """
    conditions = [f"({kind}, {number}) NOT IN (SELECT class, number FROM own)"]
    if catalogue in CONDITIONS:
        conditions.append(CONDITIONS[catalogue])
    if catalogue not in OF_THE_SERVER:
        conditions.append(is_ours)
    return f"""
        SELECT '{catalogue}' AS kind,
               coalesce((pg_identify_object({kind}, {number}, {part})).identity, '') AS name,
               jsonb_strip_nulls(jsonb_build_object({", ".join(parts)})) AS properties
        FROM {catalogue} x
        WHERE {" AND ".join(conditions)}
    """


def values(catalogue: str, columns: Sequence[RowMapping]) -> Iterator[tuple[str, str]]:
    """Yield the properties of an object, each with its SQL. Numbers of others become names."""
    if catalogue in DEFINITIONS:
        yield "definition", DEFINITIONS[catalogue]
    for column in columns:
        name, target = column["name"], column["target"]
        value = f"x.{name}"
        identity = f"(pg_identify_object('{target}'::regclass, {{}}, 0)).identity"
        if name in VOLATILE or column["type"] in UNREADABLE:
            continue
        if column["type"] == "aclitem[]":
            # Privileges that were granted and revoked leave the defaults, spelled out.
            letter, owner = PRIVILEGES.get(catalogue, ("'c'", ""))
            default = f'acldefault(({letter})::"char", x.{owner})' if owner else "NULL"
            granted = f"unnest(coalesce({value}, {default})) a"
            yield name, f"(SELECT array_agg(a::text ORDER BY a::text) FROM {granted})"
        elif target and column["type"] in ("oid[]", "oidvector"):
            yield name, f"(SELECT array_agg({identity.format('o')}) FROM unnest({value}) o)"
        elif target:
            yield name, identity.format(value)
        else:
            yield name, value
