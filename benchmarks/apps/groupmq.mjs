// Jobs of GroupMQ, sent and worked on request: `node groupmq.mjs FOLDER URL`, one JSON request per line on standard
// input. FOLDER has its packages. The answers are those of benchmarks/producer.py.
//
// It is GroupMQ at its fastest: the commands of a turn of the event loop go out together (ioredis' autopipelining), jobs
// are added in batches, and the end of a job takes the next one of its group in the same step, as is its default.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, url] = process.argv.slice(2);
const load = createRequire(`${folder}/`);
const { Queue, Worker } = load("groupmq");
const { Redis } = load("ioredis");

const BATCH = { size: 50, maxWaitMs: 1 };
const UNDER_WAY = 500; // adds at a time

const redis = new Redis(url, { enableAutoPipelining: true, maxRetriesPerRequest: null });
const queue = new Queue({ redis, namespace: "bench", autoBatch: BATCH });
let worker;

const actions = {
  // Send `count` jobs over `groups` groups, with a body of `bytes` bytes.
  async add({ count, groups, bytes }) {
    const data = "b".repeat(bytes);
    for (let first = 0; first < count; first += UNDER_WAY) {
      const some = Array.from({ length: Math.min(UNDER_WAY, count - first) }, (_, place) => first + place);
      await Promise.all(some.map((number) => queue.add({ groupId: `customer-${number % groups}`, data })));
    }
    return count;
  },

  // Work `count` jobs that were sent, `slots` at a time. The worker stays, until it is told to rest.
  async work({ count, slots }) {
    let done = 0;
    await new Promise((resolve, reject) => {
      worker = new Worker({ queue, concurrency: slots, handler: async () => {} });
      worker.on("completed", () => ++done === count && resolve());
      worker.on("failed", (job) => reject(new Error(`job ${job.id} failed: ${job.failedReason}`)));
      worker.on("error", reject);
    });
    return done;
  },

  async rest() {
    await worker.close();
    return null;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = { value: await actions[request.do](request) };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
