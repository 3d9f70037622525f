// Save as ask.mjs, and run: node ask.mjs
import { readFile, writeFile } from "node:fs/promises";
import { execFileSync } from "node:child_process";

const key = execFileSync(".venv/bin/marquee", ["token"]).toString().trim();
const answer = await fetch("http://127.0.0.1:8080/predictions/inkwash", {
  method: "POST",
  headers: { Authorization: `Bearer ${key}`, "Content-Type": "image/jpeg", "Accept": "image/jpeg" },
  body: await readFile("handlers/inkwash/example.jpg"),
});
if (!answer.ok) throw new Error(await answer.text());
await writeFile("example-inkwash.jpg", Buffer.from(await answer.arrayBuffer()));