"""Writes the tables of TPC-H or TPC-DS as Parquet files, and the texts of their queries.

    python tpc.py tpch|tpcds SCALE FOLDER

FOLDER gets TABLE.parquet for each table and queries.json, a list of texts in the order of their numbers. Needs from the
package index: tpchgen-cli, duckdb, duckdb-extension-tpch and duckdb-extension-tpcds of duckdb's version.
"""

import glob
import importlib
import json
import os
import subprocess
import sys

import duckdb


def extension(name):
    package = importlib.import_module(f"duckdb_extension_{name}")
    return glob.glob(os.path.join(os.path.dirname(package.__file__), "extensions", "*", f"{name}.duckdb_extension"))[0]


def main(kind, scale, folder):
    os.makedirs(folder, exist_ok=True)
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension(kind)}'")
    if kind == "tpch":
        generator = os.path.join(os.path.dirname(sys.executable), "tpchgen-cli")
        subprocess.run([generator, "parquet", "-s", scale, f"--output-dir={folder}"], check=True, stdout=subprocess.DEVNULL)
    else:
        connection.execute("CALL dsdgen(sf = ?)", [float(scale)])
        for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            connection.execute(f"COPY {table} TO '{folder}/{table}.parquet' (FORMAT parquet)")
    queries = connection.execute(f"SELECT query FROM {kind}_queries() ORDER BY query_nr").fetchall()
    with open(os.path.join(folder, "queries.json"), "w") as file:
        json.dump([text for (text,) in queries], file)


main(*sys.argv[1:])
