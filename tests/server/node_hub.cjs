// Downloads, the engines and the log, as LM Studio's TypeScript SDK sees them.
// `node node_hub.cjs FOLDER ws://HOST:PORT` with the SDK in FOLDER/node_modules; says "ok".
"use strict";

const assert = require("node:assert");
const { createRequire } = require("node:module");
const path = require("node:path");

const fromFolder = createRequire(path.join(path.resolve(process.argv[2]), "index.js"));
const { LMStudioClient } = fromFolder("@lmstudio/sdk");

async function search(client) {
  const [found] = await client.repository.searchModels({ searchTerm: "acme/parrot-gguf" });
  assert.strictEqual(found.name, "acme/Parrot-GGUF");
  assert(found.isExactMatch());
  const options = await found.getDownloadOptions();
  const option = options.find((one) => one.isRecommended());
  assert.strictEqual(option.quantization, "Q8_0");
  return option;
}

async function download(option) {
  const seen = [];
  const key = await option.download({
    onProgress: (update) => seen.push(update.downloadedBytes),
    onStartFinalizing: () => seen.push("finalizing"),
  });
  return { key, seen };
}

async function plan(client) {
  const source = { type: "huggingface", user: "acme", repo: "Parrot-GGUF" };
  const planner = client.repository.createModelDownloadPlanner({ source });
  await planner.untilReady();
  const [node] = planner.getPlan().nodes;
  assert.strictEqual(node.state, "satisfied");
  const wanted = node.downloadOptions.findIndex((one) => one.quantName === "F16");
  await planner.selectModelDownloadOption({ nodeIndex: 0, downloadOptionIndex: wanted });
  assert.strictEqual(planner.getPlan().nodes[0].selectedDownloadOptionIndex, wanted);
  const seen = [];
  await planner.download({ onProgress: (update) => seen.push(update.downloadedBytes) });
  assert.strictEqual(seen.at(-1), planner.getPlan().downloadSizeBytes);
  const refused = client.repository.createModelDownloadPlanner({
    source: { type: "huggingface", user: "no", repo: "body" },
  });
  await assert.rejects(refused.untilReady(), /has no repository/);
}

async function runtime(client) {
  const [engine] = await client.runtime.engine.list();
  assert.strictEqual(engine.name, "llama.cpp");
  const selections = await client.runtime.engine.getSelections();
  assert.strictEqual(selections.get("GGUF").name, "llama.cpp");
  const survey = await client.runtime.surveyHardware();
  assert.strictEqual(survey.status, "ok");
  assert(survey.engines[0].memoryInfo.ramCapacity > 0);
}

async function log(client, model) {
  const seen = [];
  let opened, told;
  const isOpen = new Promise((resolve) => (opened = resolve));
  const wasTold = new Promise((resolve) => (told = resolve));
  const stop = client.diagnostics.unstable_streamLogs((event) => {
    opened();
    seen.push(event.data.type);
    if (event.data.type === "llm.prediction.output") told(event.data);
  });
  await isOpen;
  const answer = await model.respond("What is the meaning of life?", { temperature: 0 });
  assert.strictEqual((await wasTold).output, answer.content);
  assert(seen.includes("llm.prediction.input"));
  stop();
}

async function main() {
  const client = new LMStudioClient({ baseUrl: process.argv[3] });
  const option = await search(client);
  const { key, seen } = await download(option);
  assert.strictEqual(key, "parrot");
  assert.strictEqual(seen.at(-1), "finalizing");
  const model = await client.llm.model(key, { verbose: false });
  await plan(client);
  await runtime(client);
  await log(client, model);
  assert.strictEqual((await client.repository.isAuthenticated()), false);
  assert.strictEqual((await client.repository.lmLink.status()).status, "offline");
  console.log("ok");
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
