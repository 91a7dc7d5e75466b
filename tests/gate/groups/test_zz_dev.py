import random, time, traceback, os
from tests.gate.groups.test_several_sequence import *


def test_dev(world, groups, monkeypatch):
    monkeypatch.setattr(verify, "PAUSE", 0)
    monkeypatch.setattr(operate, "tell_revoked", lambda *_: None)
    Machine.world, Machine.groups = world, groups
    end = time.time() + float(os.environ.get("DEV_SECONDS", "60"))
    seed = int(os.environ.get("DEV_SEED", "0"))
    while time.time() < end:
        seed += 1
        rnd = random.Random(seed)
        m = Machine()
        log = []
        K = lambda: rnd.choice("abcd")
        P = lambda: rnd.randrange(6)
        ops = (
            [("park", lambda: [rnd.sample("abcd", rnd.choice([1, 2, 2, 3]))], 0)] * 6
            + [("receive", list, 0)] * 4
            + [("finish", lambda: [P(), rnd.choice(["lists", "own", "none"]), rnd.random() < 0.3], 1)] * 3
            + [
                ("fail", lambda: [P(), rnd.choice(["block", "dead_letter"])], 1),
                ("cancel_rest", lambda: [P(), [K() for _ in range(rnd.randrange(3))]], 1),
                ("retry_later", lambda: [P(), rnd.choice([0, 3000])], 1),
                ("give_back", lambda: [P(), rnd.random() < 0.5], 1),
                ("time_goes_by", lambda: [rnd.choice([1, 4000]), rnd.random() < 0.5], 0),
                ("time_goes_by", lambda: [rnd.choice([1, 4000]), False], 0),
                ("all_workers_are_lost", list, 0),
                ("pause", lambda: [K()], 0),
                ("resume", lambda: [K()], 0),
                ("resume", lambda: [K()], 0),
                ("drain", lambda: [K()], 0),
                ("skip", lambda: [K(), rnd.choice([0, 0, 1]), rnd.random() < 0.5], 0),
                ("purge", lambda: [K()], 0),
                ("revoke", lambda: [K(), P()], 0),
                ("retry_now", lambda: [K()], 0),
                ("move", lambda: [K(), K()], 0),
            ]
        )
        try:
            for _ in range(30):
                name, args, needs = rnd.choice(ops)
                if needs and not m.runs:
                    continue
                a = args()
                log.append((name, a))
                getattr(m, name)(*a)
                m.the_stored_state_is_what_was_done()
            log.append("teardown")
            m.teardown()
        except BaseException:
            print("SEED", seed)
            for l in log:
                print(l)
            print("line", m.line, "runs", list(m.runs), "paused", m.paused, "blocked", m.blocked)
            for key in "abcd":
                print(key, world.group(key).text(), world.redis.lrange(world.keys.line(key), 0, -1))
            print(
                world.redis.zrange(world.keys.due, 0, -1),
                {k: v for k, v in world.redis.hgetall(world.keys.begins).items() if k[:1] == b"k"},
            )
            raise
    print("seeds", seed)
