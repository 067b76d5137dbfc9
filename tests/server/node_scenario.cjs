// What a program for LM Studio's TypeScript SDK does.
// `node node_scenario.cjs FOLDER ws://HOST:PORT` with the SDK in FOLDER/node_modules; says "ok".
"use strict";

const assert = require("node:assert");
const { createRequire } = require("node:module");
const path = require("node:path");

const fromFolder = createRequire(path.join(path.resolve(process.argv[2]), "index.js"));
const { LMStudioClient, tool } = fromFolder("@lmstudio/sdk");
const { z } = createRequire(fromFolder.resolve("@lmstudio/sdk"))("zod");

const LONG = {
  type: "json",
  jsonSchema: {
    type: "object",
    properties: { a: { type: "string", minLength: 1500 } },
    required: ["a"],
  },
};

async function models(client) {
  const downloaded = await client.system.listDownloadedModels();
  const keys = downloaded.map((model) => model.modelKey);
  for (const key of ["pocket", "pocket-think", "pocket-embedding"]) assert(keys.includes(key));
  assert((await client.system.getLMStudioVersion()).version);
  const progress = [];
  const model = await client.llm.model("pocket", {
    verbose: false,
    onProgress: (value) => progress.push(value),
  });
  assert.strictEqual(model.identifier, "pocket");
  assert.strictEqual(progress.at(-1), 1);
  const second = await client.llm.load("pocket", {
    verbose: false,
    identifier: "mine",
    config: { contextLength: 512 },
    ttl: 60,
  });
  assert.strictEqual(await second.getContextLength(), 512);
  await second.unload();
  await assert.rejects(second.respond("hi"));
  await assert.rejects(client.llm.load("pocket", { identifier: "pocket", verbose: false }), /exists/);
  await assert.rejects(client.llm.model("pocke", { verbose: false }), /pocke/);
  return model;
}

async function predictions(model) {
  const answer = await model.respond("What is the meaning of life?");
  assert.match(answer.content, /42/);
  assert.strictEqual(answer.stats.stopReason, "eosFound");
  const raw = await model.complete("Once upon a time", { maxTokens: 3 });
  assert.strictEqual(raw.stats.stopReason, "maxPredictedTokensReached");
  const book = await model.respond("Tell me about a book.", {
    structured: z.object({ title: z.string(), year: z.number().int() }),
  });
  assert.strictEqual(typeof book.parsed.title, "string");
  const stream = model.respond("Go on.", { structured: LONG });
  let fragments = 0;
  for await (const fragment of stream) {
    assert.strictEqual(typeof fragment.content, "string");
    if (++fragments === 1) await stream.cancel();
  }
  assert.strictEqual((await stream.result()).stats.stopReason, "userStopped");
}

async function tools(model) {
  const messages = [];
  const multiply = tool({
    name: "multiply",
    description: "Multiply two numbers.",
    parameters: { a: z.number(), b: z.number() },
    implementation: ({ a, b }) => a * b,
  });
  await model.act("What is 12345 multiplied by 54321?", [multiply], {
    onMessage: (message) => messages.push(message.toString()),
  });
  assert.match(messages.at(-1), /670592745/);
}

async function others(client, model) {
  const tokens = await model.tokenize("hello world");
  assert.strictEqual(tokens.length, await model.countTokens("hello world"));
  assert.match(await model.applyPromptTemplate("hi"), /hi/);
  const embedding = await client.embedding.model("pocket-embedding", { verbose: false });
  const [one, two] = await embedding.embed(["one", "two"]);
  assert.strictEqual(one.embedding.length, two.embedding.length);
  await embedding.unload();
  const content = Buffer.from("hello").toString("base64");
  const file = await client.files.prepareFileBase64("note.txt", content);
  assert.strictEqual(file.sizeBytes, 5);
  await assert.rejects(client.repository.searchModels({ searchTerm: "x" }), /not offered/);
  await model.unload();
  assert.deepStrictEqual(await client.llm.listLoaded(), []);
}

async function main() {
  const client = new LMStudioClient({ baseUrl: process.argv[3] });
  const model = await models(client);
  await predictions(model);
  await tools(model);
  await others(client, model);
  console.log("ok");
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
