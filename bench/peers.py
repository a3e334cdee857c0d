"""Times the same SQL in other readers of Delta tables.

    python peers.py query ENGINE LAKE ROUNDS    queries as a JSON list on standard input
    python peers.py open ENGINE TABLE           reads a table's log in a process that knows nothing of it
    python peers.py compact TABLE ROUNDS        delta-rs joins the table's files, which come back after each round

ENGINE is deltalake, duckdb or polars. Every folder of LAKE that has a _delta_log is a table by its name. The answer is
JSON: the engine's version, the seconds of every run (null for a query that the engine refuses), and the most memory held.
"""

import glob
import json
import os
import resource
import sys
import time


def duckdb_connection():
    import duckdb
    import duckdb_extension_delta

    connection = duckdb.connect()
    folder = os.path.dirname(duckdb_extension_delta.__file__)
    connection.execute(f"LOAD '{glob.glob(os.path.join(folder, 'extensions', '*', 'delta.duckdb_extension'))[0]}'")
    return connection, duckdb.__version__


def runner(engine, tables):
    if engine == "duckdb":
        connection, version = duckdb_connection()
        for name, path in tables.items():
            connection.execute(f"ATTACH '{path}' AS attached_{name} (TYPE delta, PIN_SNAPSHOT)")
            connection.execute(f"CREATE VIEW {name} AS FROM attached_{name}")
        return version, lambda text: connection.execute(text).fetchall()
    if engine == "deltalake":
        import deltalake

        builder = deltalake.QueryBuilder()
        for name, path in tables.items():
            builder = builder.register(name, deltalake.DeltaTable(path))
        return deltalake.__version__, lambda text: builder.execute(text).read_all()
    import polars

    frames = {name: polars.scan_delta(path) for name, path in tables.items()}
    context = polars.SQLContext(frames)
    return polars.__version__, lambda text: context.execute(text, eager=True)


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def query(engine, lake, rounds):
    tables = {name: os.path.join(lake, name) for name in os.listdir(lake) if os.path.isdir(os.path.join(lake, name, "_delta_log"))}
    version, run = runner(engine, tables)
    answers = []
    for text in json.load(sys.stdin):
        try:
            run(text)
            answers.append([seconds(lambda: run(text)) for _ in range(int(rounds))])
        except BaseException as refusal:
            print(f"{engine}: {str(refusal).splitlines()[0]}", file=sys.stderr)
            answers.append(None)
    return version, answers


def open_table(engine, table):
    if engine == "duckdb":
        connection, version = duckdb_connection()
        return version, [seconds(lambda: connection.execute("SELECT count(*) FROM delta_list_files(?)", [table]).fetchall())]
    import deltalake

    return deltalake.__version__, [seconds(lambda: len(deltalake.DeltaTable(table).file_uris()))]


def compact(path, rounds):
    import deltalake

    version = deltalake.DeltaTable(path).version()
    took = []
    for _ in range(int(rounds)):
        table = deltalake.DeltaTable(path)
        took.append(seconds(lambda: table.optimize.compact(target_size=128 * 2**20)))
        table.restore(version)
    return deltalake.__version__, took


def main(kind, *rest):
    version, answer = {"query": query, "open": open_table, "compact": compact}[kind](*rest)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"version": version, "seconds": answer, "memoryBytes": memory}))


main(*sys.argv[1:])
