// Judges recorded Azure exchanges with Microsoft's own validator over Microsoft's API descriptions.
//
//   NODE_PATH=.../node_modules node judge_azure.js SPECS WORK RECORDS VERDICTS
//
// SPECS holds `specification/` and `index.csv`; WORK is a folder for a copy; RECORDS has one exchange per line:
// {method, url, headers, body, status, response_headers, response}. VERDICTS gets one line per exchange:
// {line, operation, label, codes, faults}, where no faults means that the validator was positively content.
"use strict";

const fs = require("fs");
const path = require("path");
const { LiveValidator } = require("oav/dist/lib/liveValidation/liveValidator.js");

async function main() {
  const [specs, work, records, verdicts] = process.argv.slice(2);
  if (!verdicts) throw new Error("usage: judge_azure.js SPECS WORK RECORDS VERDICTS");
  const index = readIndex(path.join(specs, "index.csv"));
  const root = closeEnums(specs, work);
  const validator = new LiveValidator({
    fileRoot: root,
    directory: path.join(root, "specification"),
    git: { shouldClone: false },
    swaggerPaths: [...new Set(index.map((row) => path.join(root, row.swagger_file)))],
    swaggerPathsPattern: [],
    excludedSwaggerPathsPattern: [],
    loadValidatorInInitialize: false,
    loadValidatorInBackground: false,
  });
  await validator.initialize();
  const out = [];
  const given = new Set();
  const lines = fs.readFileSync(records, "utf8").split("\n");
  for (let i = 0; i < lines.length; i++) {
    if (lines[i].trim() === "") continue;
    const exchange = JSON.parse(lines[i]);
    out.push(JSON.stringify({ line: i + 1, ...(follows(given, exchange) || (await judge(validator, index, exchange))) }));
    for (const header of ["azure-asyncoperation", "location"]) {
      const url = (exchange.response_headers || {})[header];
      if (url) given.add(url);
    }
  }
  fs.writeFileSync(verdicts, out.join("\n") + "\n");
}

// Where an operation is asked for is the service's own affair: a client follows the address it was given, and no other
// (https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations). So that it was given is what is judged.
function follows(given, { method, url, body }) {
  if (method !== "GET" || body !== null || !given.has(url)) return null;
  return { operation: "GET an operation's address, as it was given", label: "", codes: [], faults: [] };
}

async function judge(validator, index, exchange) {
  const { method, url, status } = exchange;
  const request = await validator.validateLiveRequest({
    method,
    url,
    headers: { "content-type": "application/json", ...exchange.headers },
    body: exchange.body === null ? undefined : exchange.body,
  });
  const info = request.operationInfo || {};
  const faults = complaints("request", request);
  // Many descriptions name no error answer at all, so only success can be judged.
  if (faults.length === 0 && status >= 200 && status < 300) {
    const answer = await validator.validateLiveResponse(
      {
        statusCode: String(status),
        headers: { "content-type": "application/json", ...exchange.response_headers },
        body: exchange.response === null ? undefined : exchange.response,
      },
      { url, method },
    );
    faults.push(...complaints("answer", answer));
  }
  const known = info.operationId && info.operationId !== "unknownOperationId";
  return {
    operation: known ? `${info.operationId} ${info.apiVersion}` : `${method} ${url}`,
    label: known ? label(index, info) : "",
    codes: codes(request),
    faults,
  };
}

// `isSuccessful` is undefined, not false, when the operation is unknown: only `true` passes.
function complaints(side, verdict) {
  if (verdict.isSuccessful === true) return [];
  const found = (verdict.errors || []).map((e) => `${side}: ${e.code} at ${e.pathsInPayload || "body"}: ${e.message}`);
  if (verdict.runtimeException) found.push(`${side}: ${verdict.runtimeException.code}: ${verdict.runtimeException.message}`);
  return found.length ? found : [`${side}: the validator gave no verdict`];
}

function codes(verdict) {
  return [...(verdict.errors || []), verdict.runtimeException].filter(Boolean).map((e) => e.code);
}

function label(index, info) {
  const row = index.find((r) => r.operation_id === info.operationId && r.api_version === info.apiVersion);
  const area = row ? row.swagger_file.split("/")[1] : "management";
  return `Microsoft swagger ${area} ${info.apiVersion}`;
}

// The descriptions leave most enums open, so a misspelt value would pass: they are closed in a copy.
function closeEnums(specs, work) {
  const from = path.join(specs, "specification");
  const to = path.join(work, "specification");
  fs.rmSync(to, { recursive: true, force: true });
  for (const entry of fs.readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const source = path.join(entry.parentPath || entry.path, entry.name);
    const target = path.join(to, path.relative(from, source));
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, fs.readFileSync(source, "utf8").replaceAll('"modelAsString":true', '"modelAsString":false'));
  }
  return path.resolve(work);
}

// Quoted commas stand only behind the columns read here.
function readIndex(file) {
  const [head, ...rows] = fs.readFileSync(file, "utf8").trim().split(/\r?\n/);
  const names = head.split(",");
  return rows.map((row) => Object.fromEntries(row.split(",").slice(0, names.length).map((cell, i) => [names[i], cell])));
}

// Timers of the validator keep the process alive otherwise.
main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
