"""clkhash encodes, anonlink compares: what `crates/linkage` is compared with and measured beside.

Usage: peer.py [--cores N] SCHEMA SECRET THRESHOLD A.tsv B.tsv, all records without header. Prints one JSON object:
the CLKs of both files, all pairs at or above the threshold, the groups of anonlink's greedy solver, and seconds.
"""
import argparse
import base64
import concurrent.futures
import io
import json
import sys
import time

import anonlink
from clkhash import clk
from clkhash.schema import from_json_dict


def encode(path, schema, secret, cores):
    with open(path, encoding="utf-8") as file:
        text = file.read().replace("\t", ",")
    return clk.generate_clk_from_csv(
        io.StringIO(text), secret, schema, validate=False, header=False, progress_bar=False, max_workers=cores
    )


def compare(part, right, threshold):
    return anonlink.candidate_generation.find_candidate_pairs(
        [part, right], anonlink.similarities.dice_coefficient, threshold
    )


def compare_in_parts(cores, clks, threshold):
    """Seconds for the pairs of parts of the first site with the second, a part per core."""
    size = -(-len(clks[0]) // cores)
    with concurrent.futures.ProcessPoolExecutor(cores) as pool:
        # Starting the processes is not what is measured.
        list(pool.map(abs, range(cores)))
        started = time.perf_counter()
        parts = [clks[0][start : start + size] for start in range(0, len(clks[0]), size)]
        list(pool.map(compare, parts, [clks[1]] * len(parts), [threshold] * len(parts)))
        return time.perf_counter() - started


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--cores", type=int, default=1)
    arguments.add_argument("schema")
    arguments.add_argument("secret")
    arguments.add_argument("threshold", type=float)
    arguments.add_argument("files", nargs=2)
    given = arguments.parse_args()
    with open(given.schema, encoding="utf-8") as file:
        schema = from_json_dict(json.load(file))
    started = time.perf_counter()
    clks = [encode(path, schema, given.secret, given.cores) for path in given.files]
    encoded = time.perf_counter()
    candidates = compare(*clks, given.threshold)
    compared = time.perf_counter() - encoded
    if given.cores > 1:
        compared = compare_in_parts(given.cores, clks, given.threshold)
    scores, _, (left, right) = candidates
    groups = anonlink.solving.greedy_solve(candidates)
    json.dump(
        {
            "clks": [[base64.b64encode(one.tobytes()).decode() for one in side] for side in clks],
            "pairs": [[int(a), int(b), float(score)] for score, a, b in zip(scores, left, right)],
            "groups": [[[int(site), int(record)] for site, record in group] for group in groups],
            "encode_seconds": encoded - started,
            "compare_seconds": compared,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
