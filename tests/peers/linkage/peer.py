"""clkhash encodes, anonlink compares: what `crates/linkage` is compared with and measured beside.

Usage: peer.py SCHEMA SECRET THRESHOLD A.tsv B.tsv, all records without header. Prints one JSON object: the
CLKs of both files, all pairs at or above the threshold, the groups of anonlink's greedy solver, and seconds.
"""
import base64
import io
import json
import sys
import time

import anonlink
from clkhash import clk
from clkhash.schema import from_json_dict


def encode(path, schema, secret):
    with open(path, encoding="utf-8") as file:
        text = file.read().replace("\t", ",")
    return clk.generate_clk_from_csv(
        io.StringIO(text), secret, schema, validate=False, header=False, progress_bar=False, max_workers=1
    )


def main():
    schema_path, secret, threshold, *files = sys.argv[1:]
    with open(schema_path, encoding="utf-8") as file:
        schema = from_json_dict(json.load(file))
    started = time.perf_counter()
    clks = [encode(path, schema, secret) for path in files]
    encoded = time.perf_counter()
    candidates = anonlink.candidate_generation.find_candidate_pairs(
        clks, anonlink.similarities.dice_coefficient, float(threshold)
    )
    compared = time.perf_counter()
    scores, _, (left, right) = candidates
    groups = anonlink.solving.greedy_solve(candidates)
    json.dump(
        {
            "clks": [[base64.b64encode(one.tobytes()).decode() for one in side] for side in clks],
            "pairs": [[int(a), int(b), float(score)] for score, a, b in zip(scores, left, right)],
            "groups": [[[int(site), int(record)] for site, record in group] for group in groups],
            "encode_seconds": encoded - started,
            "compare_seconds": compared - encoded,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
