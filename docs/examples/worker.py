#!/usr/bin/env python3
"""A worker in plain Python: claims jobs of one type, works on them, answers.

    NATS_URL=nats://127.0.0.1:4222 NATS_USER=site-worker NATS_PASSWORD=... worker.py my-plugin/1.0/greet

Nothing but the standard library: NATS is lines of text over TCP. See docs/workers.md.
"""
import asyncio
import json
import os
import signal
import sys
import urllib.parse

PROTOCOL_VERSION = 1
LEASE_MILLIS = 30_000
# Seconds between two claims when no hint comes; hints only make it faster.
POLL = 1.0


def token(text):
    """One subject token: ASCII letters, digits, '-' and '_' stay, every other byte becomes =XX."""
    kept = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    return "".join(c if c in kept else "".join(f"={b:02X}" for b in c.encode()) for c in text) or "="


def subject_of(job_type):
    return ".".join(token(part) for part in job_type.split("/"))


class Nats:
    """The part of the NATS protocol that a worker needs: subscribe, request, publish."""

    async def connect(self, url, user, password):
        address = urllib.parse.urlparse(url)
        self.reader, self.writer = await asyncio.open_connection(address.hostname, address.port or 4222)
        await self.reader.readline()  # INFO
        options = {"verbose": False, "pedantic": False, "name": "example-worker", "user": user, "pass": password,
                   "lang": "python", "version": "1", "protocol": 1}
        self.send(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
        # Answers come to the inbox prefix of this user; no other one may be subscribed to.
        self.inbox = f"_INBOX.{token(user)}"
        self.waiting, self.handlers, self.count = {}, {}, 0
        self.subscribe(self.inbox + ".*", self.answered)
        return asyncio.create_task(self.read())

    def send(self, data):
        self.writer.write(data)

    def subscribe(self, subject, handler):
        sid = str(len(self.handlers) + 1)
        self.handlers[sid] = handler
        self.send(f"SUB {subject} {sid}\r\n".encode())

    def answered(self, subject, payload):
        future = self.waiting.pop(subject, None)
        if future and not future.done():
            future.set_result(payload)

    async def request(self, subject, body, timeout=10.0):
        self.count += 1
        inbox = f"{self.inbox}.{self.count}"
        future = self.waiting[inbox] = asyncio.get_running_loop().create_future()
        data = json.dumps(body).encode()
        self.send(f"PUB {subject} {inbox} {len(data)}\r\n".encode() + data + b"\r\n")
        await self.writer.drain()
        return json.loads(await asyncio.wait_for(future, timeout))

    async def read(self):
        while line := await self.reader.readline():
            words = line.split()
            if words[0] == b"PING":
                self.send(b"PONG\r\n")
            elif words[0] == b"MSG":
                payload = (await self.reader.readexactly(int(words[-1]) + 2))[:-2]
                self.handlers[words[2].decode()](words[1].decode(), payload)
            elif words[0] == b"HMSG":
                content = (await self.reader.readexactly(int(words[-1]) + 2))[:-2]
                self.handlers[words[2].decode()](words[1].decode(), content[int(words[-2]):])
            elif words[0] == b"-ERR":
                print("NATS refuses:", line.decode().strip(), file=sys.stderr)


def greet(job):
    """The work itself: from what the job brings to an outcome."""
    name = job["variables"].get("who", {"value": "world"})["value"]
    return {"done": {"variables": {"greeting": {"type": "string", "value": f"hello {name}"}}}}


async def heartbeats(nats, job):
    while True:
        await asyncio.sleep(LEASE_MILLIS / 3000)
        await nats.request("engine.api.job.heartbeat",
                           {"id": job["id"], "lease": job["lease"], "lease_millis": LEASE_MILLIS})


async def work(nats, job):
    beat = asyncio.create_task(heartbeats(nats, job))
    try:
        outcome = greet(job)
    except Exception as error:  # a fault: tried again, in the end an incident
        outcome = {"fault": {"reason": type(error).__name__}}
    finally:
        beat.cancel()
    result = {"version": PROTOCOL_VERSION, "id": job["id"], "lease": job["lease"], "outcome": outcome}
    while True:
        try:
            answer = await nats.request("job.result." + subject_of(job["type"]), result)
        except asyncio.TimeoutError:
            continue  # nobody answered: the same result again, it counts once
        if "unavailable" not in answer:
            return  # "accepted", or "stale": the lease was over and the job is not ours any more
        await asyncio.sleep(POLL)


async def main(job_type):
    nats = Nats()
    reader = await nats.connect(os.environ["NATS_URL"], os.environ["NATS_USER"], os.environ["NATS_PASSWORD"])
    hint = asyncio.Event()
    nats.subscribe("job." + subject_of(job_type), lambda *_: hint.set())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    while not stop.is_set() and not reader.done():
        hint.clear()
        claim = {"version": PROTOCOL_VERSION, "worker": "example.py", "types": [job_type], "max": 8,
                 "lease_millis": LEASE_MILLIS}
        try:
            jobs = (await nats.request("engine.api.job.claim", claim)).get("ok", {"jobs": []})["jobs"]
        except asyncio.TimeoutError:
            jobs = []
        await asyncio.gather(*(work(nats, job) for job in jobs))
        if not jobs:
            try:
                await asyncio.wait_for(hint.wait(), POLL)
            except asyncio.TimeoutError:
                pass


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
