// Serves Azurite on loopback and stays until stdin closes. However the parent ends, its end of the pipe closes, so no server
// outlives the tests.
//
//   NODE_PATH=.../node_modules node serve_azurite.js BLOB_PORT
//
// Queue and table get the next two ports. Everything is in memory.
"use strict";

const first = Number(process.argv[2]);
if (!Number.isInteger(first)) throw new Error("usage: serve_azurite.js BLOB_PORT");
process.stdin.on("end", () => process.exit(0)).resume();
const ports = ["--blobPort", "--queuePort", "--tablePort"].flatMap((name, offset) => [name, String(first + offset)]);
process.argv = [...process.argv.slice(0, 2), "--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", ...ports];
require("azurite/dist/src/azurite.js");
