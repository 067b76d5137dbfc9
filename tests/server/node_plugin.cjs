// A plugin of LM Studio's TypeScript SDK, registered with a server, and used by another client.
// `node node_plugin.cjs FOLDER ws://HOST:PORT` with the SDK in FOLDER/node_modules; says "ok".
// With "serve" first it says "ready" and stays until its standard input ends.
"use strict";

const assert = require("node:assert");
const { createRequire } = require("node:module");
const path = require("node:path");

const serving = process.argv[2] === "serve";
const [folder, baseUrl] = process.argv.slice(serving ? 3 : 2);
const fromFolder = createRequire(path.join(path.resolve(folder), "index.js"));
const { Chat, LMStudioClient, createConfigSchematics, tool } = fromFolder("@lmstudio/sdk");
const { z } = createRequire(fromFolder.resolve("@lmstudio/sdk"))("zod");

const NAME = "node/sums";
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const schematics = createConfigSchematics()
  .field("greeting", "string", { displayName: "Greeting" }, "hello")
  .build();
const aborted = {};

function waits(name, signal) {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => {
      aborted[name] = true;
      reject(signal.reason);
    });
  });
}

async function provideTools(ctl) {
  const greeting = ctl.getPluginConfig(schematics).get("greeting");
  if (greeting === "fail") throw new Error("no greeting");
  return [
    tool({
      name: "multiply",
      description: "Given two numbers a and b. Returns the product of them.",
      parameters: { a: z.number(), b: z.number() },
      implementation: ({ a, b }, { status, warn }) => {
        status("thinking");
        if (a < 0) throw new Error("too cold");
        warn("it is hot");
        return a * b;
      },
    }),
    tool({
      name: "greet",
      description: "Greets.",
      parameters: {},
      implementation: () => greeting,
    }),
    tool({
      name: "hang",
      description: "Hangs.",
      parameters: {},
      implementation: (_args, { signal }) => waits("tool", signal),
    }),
  ];
}

async function generate(ctl, history) {
  const asked = history.at(-1).getText();
  if (asked === "fail") throw new Error("no idea");
  ctl.fragmentGenerated("Hm. ", { reasoningType: "reasoning", tokenCount: 2 });
  ctl.fragmentGenerated(`You said ${asked}.`);
  if (asked === "wait") await waits("generator", ctl.abortSignal);
  if (ctl.getToolDefinitions().length > 0 && history.at(-1).getRole() === "user") {
    ctl.toolCallGenerationStarted();
    ctl.toolCallGenerationNameReceived("greet");
    ctl.toolCallGenerationEnded({ type: "function", name: "greet", arguments: {} });
  }
}

async function start(controller) {
  const { clientIdentifier, clientPasskey, unregister } =
    await controller.plugins.registerDevelopmentPlugin({
      manifest: { type: "plugin", runner: "node", owner: "node", name: "sums" },
    });
  const own = new LMStudioClient({ baseUrl, clientIdentifier, clientPasskey, logger: silent });
  const host = own.plugins.getSelfRegistrationHost();
  await host.setConfigSchematics(schematics);
  await host.setGlobalConfigSchematics(createConfigSchematics().build());
  host.setToolsProvider(provideTools);
  host.setGenerator(generate);
  host.setPromptPreprocessor(async (_ctl, message) => message);
  host.setPredictionLoopHandler(async () => {});
  await host.initCompleted();
  await host.reportError({ type: "unauthorized", pluginRunId: "1", serverUrl: "x", message: "y" });
  return unregister;
}

async function useTools(client) {
  const session = await client.plugins.pluginTools(NAME);
  assert.deepStrictEqual(session.tools.map(({ name }) => name), ["multiply", "greet", "hang"]);
  const seen = [];
  const context = {
    status: (text) => seen.push(text),
    warn: (text) => seen.push(text),
    signal: new AbortController().signal,
    callId: 0,
  };
  const [multiply, greet, hang] = session.tools;
  assert.strictEqual(await multiply.implementation({ a: 6, b: 7 }, context), 42);
  assert.deepStrictEqual(seen, ["thinking", "it is hot"]);
  await assert.rejects(async () => multiply.implementation({ a: -1, b: 7 }, context), /too cold/);
  assert.strictEqual(await greet.implementation({}, context), "hello");
  const controller = new AbortController();
  const hanging = hang.implementation({}, { ...context, signal: controller.signal });
  setImmediate(() => controller.abort());
  await assert.rejects(async () => hanging, { name: "AbortError" });
  await greet.implementation({}, context); // in the order of sending: the abort has come too
  assert(aborted.tool);
  const model = await client.llm.model("pocket", { verbose: false });
  const messages = [];
  await model.act("What is 12345 multiplied by 54321?", session.tools, {
    onMessage: (message) => messages.push(message.toString()),
  });
  assert.match(messages.at(-1), /670592745/);
  session[Symbol.dispose]();
}

async function configureTools(client) {
  const pluginConfig = (greeting) => ({
    fields: [{ key: schematics.serialize().fields[0].fullKey, value: greeting }],
  });
  const session = await client.plugins.pluginTools(NAME, { pluginConfig: pluginConfig("moin") });
  const context = { status() {}, warn() {}, signal: new AbortController().signal, callId: 0 };
  assert.strictEqual(await session.tools[1].implementation({}, context), "moin");
  session[Symbol.dispose]();
  const failing = client.plugins.pluginTools(NAME, { pluginConfig: pluginConfig("fail") });
  await assert.rejects(failing, /no greeting/);
  await assert.rejects(client.plugins.pluginTools("nobody/there"), /no plugin/);
}

async function useGenerator(client) {
  const handle = client.plugins.createGeneratorHandle(NAME);
  const answer = await handle.respond("hi");
  assert.strictEqual(answer.reasoningContent, "Hm. ");
  assert.strictEqual(answer.nonReasoningContent, "You said hi.");
  await assert.rejects(async () => handle.respond("fail"), /no idea/);
  const stream = handle.respond("wait");
  let fragments = 0;
  for await (const _fragment of stream) if (++fragments === 2) await stream.cancel();
  assert.strictEqual((await stream.result()).content, "Hm. You said wait.");
  assert(aborted.generator);
  const greet = tool({ name: "greet", description: "", parameters: {}, implementation: () => "x" });
  const done = await handle.act(Chat.from("go"), [greet], {});
  assert.strictEqual(done.rounds, 2);
}

async function main() {
  const controller = new LMStudioClient({ baseUrl });
  const unregister = await start(controller);
  if (serving) {
    console.log("ready");
    process.stdin.resume();
    await new Promise((resolve) => process.stdin.on("end", resolve));
  } else {
    const client = new LMStudioClient({ baseUrl, logger: silent });
    await useTools(client);
    await configureTools(client);
    await useGenerator(client);
    await client.plugins.reindexPlugins();
  }
  await unregister();
  console.log("ok");
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
