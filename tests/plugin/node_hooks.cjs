// A plugin with every hook, by LM Studio's TypeScript SDK, for a comparison of packets.
// `node node_hooks.cjs FOLDER ws://HOST:PORT loop|tools` with the SDK in FOLDER/node_modules.
// Says "ready", and stays until its standard input ends.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const [folder, baseUrl, kind] = process.argv.slice(2);
const fromFolder = createRequire(path.join(path.resolve(folder), "index.js"));
const { LMStudioClient, createConfigSchematics, tool } = fromFolder("@lmstudio/sdk");
const { z } = createRequire(fromFolder.resolve("@lmstudio/sdk"))("zod");
const silent = { debug() {}, info() {}, warn() {}, error() {} };

const schematics = createConfigSchematics()
  .field("sides", "numeric", { displayName: "Sides", hint: "How many.", int: true, min: 2, max: 99, slider: { min: 4, max: 90, step: 1 }, shortHand: "d" }, 6)
  .field("share", "numeric", { displayName: "Share", precision: 2, step: 0.1, isExperimental: true }, 0.5)
  .field("mode", "select", { displayName: "Mode", options: [{ value: "fast", displayName: "Quick" }, "slow"] }, "fast")
  .field("loud", "boolean", { displayName: "Loud", subtitle: "All", warning: "Ears" }, false)
  .field("text", "string", { displayName: "Text", isParagraph: true, placeholder: "Say", maxLength: 9 }, "")
  .field("key", "string", { displayName: "Key", isProtected: true, isToken: true, dependencies: [{ key: "mode", condition: { type: "equals", value: "fast" } }] }, "")
  .field("words", "stringArray", { displayName: "Words", maxNumItems: 2, allowEmptyStrings: true }, ["a"])
  .field("place", "directory", { displayName: "Place", accessPermission: "read" }, "")
  .field("places", "directoryGroup", { displayName: "Places" }, [])
  .scope("inner", (builder) => builder.field("depth", "numeric", { displayName: "Depth", int: true }, 3))
  .build();

async function tools(_ctl) {
  return [
    tool({
      name: "double",
      description: "Double it.",
      parameters: { a: z.number() },
      implementation: ({ a }, { status, warn }) => {
        status("doubling");
        warn("hot");
        return { twice: 2 * a };
      },
    }),
  ];
}

async function preprocess(ctl, message) {
  const status = ctl.createStatus({ status: "loading", text: "working" });
  status.addSubStatus({ status: "waiting", text: "below" }).setState({ status: "done", text: "below" });
  status.setState({ status: "done", text: "ready" });
  status.remove();
  ctl.debug("one", "two");
  ctl.createCitationBlock("passage", { fileName: "f.txt", fileIdentifier: "f", pageNumber: [1, 2] });
  await ctl.pullHistory();
  const name = (await ctl.needsNaming()) ? "A name" : "Another";
  await ctl.suggestName(name);
  message.replaceText("changed");
  return message;
}

async function generate(ctl, _history) {
  ctl.fragmentGenerated("Hm. ", { reasoningType: "reasoning", tokenCount: 2 });
  ctl.fragmentGenerated("Yes.");
  ctl.toolCallGenerationStarted({ toolCallId: "1" });
  ctl.toolCallGenerationNameReceived("double");
  ctl.toolCallGenerationArgumentFragmentGenerated('{"a": 1}');
  ctl.toolCallGenerationEnded({ type: "function", name: "double", arguments: { a: 1 }, id: "1" });
}

async function loop(ctl) {
  await ctl.pullHistory();
  await ctl.setSenderName("Bard");
  const block = ctl.createContentBlock({ prefix: "<", suffix: ">", style: { type: "thinking", title: "T" } });
  block.appendText("one", { tokensCount: 1 });
  block.replaceText("two");
  block.setStyle({ type: "default" });
  block.setPrefix("(");
  block.setSuffix(")");
  block.appendToolRequest({ callId: 1, toolCallRequestId: "r", name: "double", parameters: { a: 1 }, pluginIdentifier: "x/y" });
  block.replaceToolRequest({ callId: 1, toolCallRequestId: "r", name: "double", parameters: { a: 2 } });
  const result = ctl.createContentBlock({ roleOverride: "tool", includeInContext: false });
  result.appendToolResult({ callId: 1, toolCallRequestId: "r", content: "4", name: "double" });
  const status = ctl.createToolStatus(1, { type: "callingTool" });
  status.setCustomStatusText("busy");
  status.addWarning("hot");
  status.appendArgumentFragment("{}");
  status.setStatus({ type: "toolCallSucceeded", timeMs: 3 });
  await ctl.requestConfirmToolCall({ callId: 1, name: "double", parameters: { a: 1 } });
}

async function main() {
  const own = new LMStudioClient({ baseUrl, clientIdentifier: "plugin", clientPasskey: "k", logger: silent });
  const host = own.plugins.getSelfRegistrationHost();
  await host.setConfigSchematics(schematics);
  if (kind === "loop") {
    host.setPredictionLoopHandler(loop);
  } else {
    host.setPromptPreprocessor(preprocess);
    host.setGenerator(generate);
    host.setToolsProvider(tools);
  }
  await host.initCompleted();
  console.log("ready");
  process.stdin.on("end", () => process.exit(0)).resume();
}

main();
