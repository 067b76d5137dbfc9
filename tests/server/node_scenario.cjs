// What a program for LM Studio's TypeScript SDK does.
// `node node_scenario.cjs FOLDER ws://HOST:PORT` with the SDK in FOLDER/node_modules; says "ok".
"use strict";

const assert = require("node:assert");
const { createRequire } = require("node:module");
const path = require("node:path");

const fromFolder = createRequire(path.join(path.resolve(process.argv[2]), "index.js"));
const { Chat, ChatMessage, LMStudioClient, tool } = fromFolder("@lmstudio/sdk");
const { z } = createRequire(fromFolder.resolve("@lmstudio/sdk"))("zod");

const quiet = { verbose: false };
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const ENDLESS = {
  structured: { type: "gbnf", gbnfGrammar: 'root ::= "word " root' },
  contextOverflowPolicy: "rollingWindow",
};

async function models(client) {
  const downloaded = await client.system.listDownloadedModels();
  const keys = downloaded.map((model) => model.modelKey);
  for (const key of ["pocket", "pocket-think", "pocket-embedding"]) assert(keys.includes(key));
  const [variant] = await client.system.listDownloadedModelVariants("pocket");
  assert.strictEqual(variant.modelKey, "pocket");
  const progress = [];
  const model = await client.llm.model("pocket", {
    verbose: false,
    onProgress: (value) => progress.push(value),
  });
  assert.strictEqual(model.identifier, "pocket");
  assert.strictEqual(progress.at(-1), 1);
  assert.deepStrictEqual(progress, [...progress].sort((a, b) => a - b));
  const second = await client.llm.load("pocket", {
    verbose: false,
    identifier: "mine",
    config: { contextLength: 512, maxParallelPredictions: 2 },
    ttl: 60,
  });
  assert.strictEqual(await second.getContextLength(), 512);
  assert.strictEqual((await second.getModelInfo()).ttlMs, 60000);
  assert.strictEqual((await second.getLoadConfig()).contextLength, 512);
  assert.strictEqual((await second.getInstanceProcessingState()).status, "idle");
  const loaded = (await client.llm.listLoaded()).map((handle) => handle.identifier);
  assert.deepStrictEqual(loaded.sort(), ["mine", "pocket"]);
  await second.unload();
  const usage = await client.llm.estimateResourcesUsage("pocket", { contextLength: 512 });
  assert(usage.memory.totalBytes > 0);
  return { model, unloaded: second };
}

// The SDK writes these texts itself, each for its own display code.
async function errors(client, unloaded) {
  await assert.rejects(unloaded.respond("hi"), /has already been unloaded/);
  await assert.rejects(client.llm.model("pocke", quiet), /Cannot find a model with path "pocke"/);
  await assert.rejects(client.embedding.model("pocket", quiet), /wrong domain/);
  await assert.rejects(client.llm.unload("nobody"), /No loaded model satisfies/);
  await assert.rejects(client.llm.load("pocket", { identifier: "pocket", ...quiet }), /exists/);
  const pocket = client.llm.createDynamicHandle({ identifier: "pocket" });
  await assert.rejects(pocket.respond("hi", { preset: "none" }), /preset/i);
}

async function cancelledLoad(client) {
  const controller = new AbortController();
  const loading = client.llm.load("pocket", {
    verbose: false,
    identifier: "doomed",
    signal: controller.signal,
    onProgress: () => controller.abort(),
  });
  await assert.rejects(loading, { name: "AbortError" });
  await client.llm.load("pocket", { verbose: false, identifier: "other" });
  const loaded = (await client.llm.listLoaded()).map((handle) => handle.identifier);
  assert.deepStrictEqual(loaded.sort(), ["other", "pocket"]);
  await client.llm.unload("other");
}

async function predictions(model) {
  const progress = [];
  const answer = await model.respond("What is the meaning of life?", {
    onPromptProcessingProgress: (value) => progress.push(value),
  });
  assert.match(answer.content, /42/);
  assert.strictEqual(answer.stats.stopReason, "eosFound");
  assert(answer.stats.promptTokensCount > 0 && answer.stats.totalTimeSec > 0);
  assert.strictEqual(answer.modelInfo.identifier, "pocket");
  assert.strictEqual(progress.at(-1), 1);
  const chat = Chat.from([
    { role: "system", content: "You are a helpful assistant." },
    { role: "user", content: "What is the capital of France?" },
  ]);
  const stream = model.respond(chat, { temperature: 0 });
  let text = "";
  for await (const { content } of stream) text += content;
  assert.strictEqual(text, (await stream.result()).content);
  assert.match(text, /Paris/);
  const stopped = await model.respond(chat, { stopStrings: ["Paris"] });
  assert.strictEqual(stopped.stats.stopReason, "stopStringFound");
  const likely = await model.respond(chat, { logProbs: 3, maxTokens: 4, temperature: 0 });
  assert.strictEqual(likely.stats.predictedTokensCount, 4);
  const raw = await model.complete("Once upon a time", { maxTokens: 3 });
  assert.strictEqual(raw.stats.stopReason, "maxPredictedTokensReached");
}

async function structured(model) {
  const schema = z.object({ title: z.string(), year: z.number().int() });
  const book = await model.respond("Tell me about a book.", { structured: schema });
  schema.parse(book.parsed);
  const plain = await model.respond("Tell me about a book.", {
    structured: { type: "gbnf", gbnfGrammar: 'root ::= "yes" | "no"' },
  });
  assert.match(plain.content, /^(yes|no)$/);
}

async function cancelledPrediction(model) {
  const stream = model.respond("Go on.", ENDLESS);
  let fragments = 0;
  for await (const fragment of stream) {
    assert.strictEqual(typeof fragment.content, "string");
    if (++fragments === 1) await stream.cancel();
  }
  assert.strictEqual((await stream.result()).stats.stopReason, "userStopped");
}

async function tools(model) {
  const messages = [];
  const seen = [];
  const multiply = tool({
    name: "multiply",
    description: "Multiply two numbers.",
    parameters: { a: z.number(), b: z.number() },
    implementation: ({ a, b }) => a * b,
  });
  const done = await model.act("What is 12345 multiplied by 54321?", [multiply], {
    onMessage: (message) => messages.push(message.toString()),
    onToolCallRequestNameReceived: (_round, _call, name) => seen.push(name),
    onToolCallRequestEnd: (_round, _call, { toolCallRequest }) => seen.push(toolCallRequest.arguments),
  });
  assert.strictEqual(done.rounds, 2);
  assert.match(messages.at(-1), /670592745/);
  assert.deepStrictEqual(seen, ["multiply", { a: 12345, b: 54321 }]);
  const asked = [];
  await model.act("What is 12345 multiplied by 54321?", [multiply], {
    onMessage: (message) => asked.push(message.toString()),
    guardToolCall: (_round, _call, { deny }) => deny("not today"),
  });
  assert.match(asked[1], /not today/);
}

async function reasoning(client) {
  const model = await client.llm.model("pocket-think", quiet);
  const answer = await model.respond("Is 7 a prime?");
  assert(answer.reasoningContent.length > 0);
  assert(answer.nonReasoningContent.length > 0);
  assert(!answer.nonReasoningContent.includes("<think>"));
  await model.unload();
}

async function texts(client, model) {
  const tokens = await model.tokenize("hello world");
  assert.strictEqual(tokens.length, await model.countTokens("hello world"));
  assert.strictEqual((await model.tokenize(["a", "b"])).length, 2);
  assert.match(await model.applyPromptTemplate("hi"), /hi/);
  const embedding = await client.embedding.model("pocket-embedding", quiet);
  const [one, two] = await embedding.embed(["one", "two"]);
  assert.strictEqual(one.embedding.length, two.embedding.length);
  assert((await embedding.countTokens("one")) > 0);
  return embedding;
}

async function pictures(client) {
  const model = await client.llm.model("seeing", quiet);
  assert((await model.getModelInfo()).vision);
  const content = "What is this?";
  const blind = await model.respond(content, { maxTokens: 5 });
  const image = await client.files.prepareImageBase64("pixel.png", PIXEL);
  const seen = await model.respond([{ role: "user", content, images: [image] }], { maxTokens: 5 });
  assert(seen.content.length > 0);
  // A picture takes sixteen tokens.
  assert(seen.stats.promptTokensCount >= blind.stats.promptTokensCount + 16);
  const damaged = await client.files.prepareImageBase64("broken.png", PIXEL.slice(0, 24));
  const broken = [{ role: "user", content, images: [damaged] }];
  await assert.rejects(model.respond(broken), /cannot be read/);
  await model.unload();
}

async function drafts(model) {
  await model.unstable_preloadDraftModel("pocket");
  const drafted = await model.respond("Tell me a story.", { draftModel: "pocket", maxTokens: 40 });
  assert.strictEqual(drafted.stats.usedDraftModelKey, "pocket");
  assert(drafted.stats.acceptedDraftTokensCount > 0);
  await assert.rejects(model.unstable_preloadDraftModel("pocket-embedding"), /embedding/);
}

async function files(client, model, embedding) {
  const content = Buffer.from("The cat sleeps.\n\nThe dog barks.").toString("base64");
  const file = await client.files.prepareFileBase64("notes.md", content);
  assert.strictEqual(file.sizeBytes, 31);
  const library = await client.files.getDocumentParsingLibrary(file);
  const progress = [];
  const parsed = await client.files.parseDocument(file, {
    parserId: library,
    onProgress: (value) => progress.push(value),
  });
  assert.deepStrictEqual(parsed.parser, library);
  assert.match(parsed.content, /^The cat sleeps/);
  assert.strictEqual(progress.at(-1), 1);
  const seen = [];
  const found = await client.files.retrieve("The dog barks.", [file], {
    embeddingModel: embedding,
    chunkingMethod: { type: "recursive-v1", chunkSize: 20, chunkOverlap: 0 },
    limit: 1,
    onFileProcessList: (list) => seen.push(list.length),
    onFileProcessingStart: (one) => seen.push(one.name),
    onFileProcessingStepStart: (_file, step) => seen.push(step),
    onFileProcessingEnd: (one) => seen.push(one.name),
    onSearchingStart: () => seen.push("search"),
    onSearchingEnd: () => seen.push("found"),
  });
  assert.deepStrictEqual(
    seen,
    [1, "notes.md", "loading", "chunking", "embedding", "notes.md", "search", "found"],
  );
  const [entry] = found.entries;
  assert.strictEqual(entry.content, "The dog barks.");
  assert.strictEqual(entry.source.identifier, file.identifier);
  assert(entry.score > 0.99);
  const chat = Chat.empty();
  chat.append(ChatMessage.from({ role: "user", content: "What is this?", images: [file] }));
  assert.match(await model.applyPromptTemplate(chat), /\[notes\.md\]\nThe cat sleeps/);
  const broken = await client.files.prepareFileBase64("a.pdf", Buffer.from("%PDF-").toString("base64"));
  await assert.rejects(client.files.parseDocument(broken), /cannot be parsed/);
}

async function system(client) {
  assert((await client.system.getLMStudioVersion()).version);
  assert((await client.system.getInfo()).pid > 0);
  await client.system.notify({ title: "hello", description: "from node" });
  await client.system.unstable_setExperimentFlag("x", true);
  assert.deepStrictEqual(await client.system.unstable_getExperimentFlags(), ["x"]);
}

async function main() {
  const client = new LMStudioClient({ baseUrl: process.argv[3] });
  const { model, unloaded } = await models(client);
  await errors(client, unloaded);
  await cancelledLoad(client);
  await predictions(model);
  await structured(model);
  await cancelledPrediction(model);
  await tools(model);
  await reasoning(client);
  await pictures(client);
  await drafts(model);
  const embedding = await texts(client, model);
  await files(client, model, embedding);
  await embedding.unload();
  await system(client);
  await model.unload();
  assert.deepStrictEqual(await client.llm.listLoaded(), []);
  console.log("ok");
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
