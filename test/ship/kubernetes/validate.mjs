// Manifests as a JSON list on stdin: each against the schema of its kind (values, required fields), and as a literal of
// its TypeScript type, which also refuses a field that the API does not know. Prints what is wrong; exits 1 then.
import { readFileSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";

const packages = {
  "keda.sh": "@kubernetes-models/keda/keda.sh",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator/monitoring.coreos.com",
};

function moduleOf({ apiVersion, kind }) {
  const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  const folder = packages[group] ?? `kubernetes-models${group ? `/${group}` : ""}`;
  return `${folder}/${version}/${kind}`;
}

const manifests = JSON.parse(readFileSync(0, "utf8"));
let source = "";
let faults = 0;
for (const [index, manifest] of manifests.entries()) {
  const path = moduleOf(manifest);
  const known = await import(path);
  try {
    new known[manifest.kind](manifest).validate();
  } catch (error) {
    console.error(`${manifest.kind} ${manifest.metadata.name}: ${error.message}`);
    faults++;
  }
  source += `import type { I${manifest.kind} as T${index} } from "${path}";\n`;
  source += `export const m${index}: T${index} = ${JSON.stringify(manifest)};\n`;
}
writeFileSync("manifests.ts", source);
const options = ["--noEmit", "--strict", "--module", "nodenext", "--moduleResolution", "nodenext", "--skipLibCheck"];
const done = spawnSync("node_modules/.bin/tsc", [...options, "manifests.ts"], { encoding: "utf8" });
if (done.status !== 0) {
  console.error(done.stdout + done.stderr);
  faults++;
}
console.log(`${manifests.length} manifests`);
process.exit(faults ? 1 : 0);
