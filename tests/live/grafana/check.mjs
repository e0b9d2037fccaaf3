// Holds dashboards against the types that Grafana publishes for them: every key and word of a dashboard, and of the
// options of each kind of panel. Prints what does not fit and exits 1.
//
//     node check.mjs FILE.json...

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const here = dirname(fileURLToPath(import.meta.url));

/** Where the types of the options of a panel stand, by its kind. */
const kinds = {
  bargauge: "bargauge",
  heatmap: "heatmap",
  stat: "stat",
  "state-timeline": "statetimeline",
  table: "table",
  timeseries: "timeseries",
};

/** What belongs to the data source of an annotation or a target, which has types of its own. */
const ofAnnotation = ["expr", "step", "titleFormat", "textFormat", "tagKeys", "useValueForTime"];

function without(object, keys) {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

/** The dashboard as a program: its parts as literals, each of the type that it should have. */
function program(dashboard) {
  const text = (value) => JSON.stringify(value, null, 1);
  const { panels, annotations, templating, ...rest } = dashboard;
  const lines = [
    `import type { AnnotationQuery, Dashboard, Panel, RowPanel, VariableModel } from "@grafana/schema";`,
    // Words of an enumeration stand for themselves in JSON.
    `type Plain<T> = T extends string ? \`\${T}\` : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;`,
    `export const dashboard: Plain<Omit<Dashboard, "id">> & { id: null } = ${text(rest)};`,
  ];
  for (const [kind, folder] of Object.entries(kinds)) {
    const path = join(here, "node_modules/@grafana/schema/dist/types/raw/composable", folder, "panelcfg/x/types.gen");
    lines.push(`import type * as ${folder} from ${text(path)};`, `// ${kind}`);
  }
  templating.list.forEach((variable, n) => lines.push(`export const variable${n}: Plain<VariableModel> = ${text(variable)};`));
  annotations.list.forEach((annotation, n) =>
    lines.push(`export const annotation${n}: Plain<AnnotationQuery> = ${text(without(annotation, ofAnnotation))};`),
  );
  panels.forEach((panel, n) => {
    if (panel.type === "row") {
      lines.push(`export const panel${n}: Plain<RowPanel> = ${text(panel)};`);
      return;
    }
    const folder = kinds[panel.type];
    if (!folder) throw new Error(`no types are known of a panel of kind ${panel.type}`);
    const { options, fieldConfig, ...outside } = panel;
    const { custom, ...defaults } = fieldConfig.defaults;
    lines.push(
      `export const panel${n}: Plain<Panel> = ${text({ ...outside, fieldConfig: { ...fieldConfig, defaults } })};`,
      `export const options${n}: Plain<${folder}.Options> = ${text(options)};`,
    );
    if (custom) lines.push(`export const custom${n}: Plain<Partial<${folder}.FieldConfig>> = ${text(custom)};`);
  });
  return lines.join("\n");
}

const folder = mkdtempSync(join(here, "node_modules", "check-"));
try {
  const files = process.argv.slice(2).map((path) => {
    const file = join(folder, `${basename(path, ".json")}.ts`);
    writeFileSync(file, program(JSON.parse(readFileSync(path, "utf8"))));
    return file;
  });
  const options = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    target: ts.ScriptTarget.ES2022,
  };
  options.module = ts.ModuleKind.ESNext;
  const found = ts.getPreEmitDiagnostics(ts.createProgram(files, options));
  for (const { file, start, messageText } of found) {
    const place = file ? `${basename(file.fileName)}:${file.getLineAndCharacterOfPosition(start).line + 1}: ` : "";
    const line = file ? file.text.split("\n")[file.getLineAndCharacterOfPosition(start).line].trim() : "";
    console.error(`${place}${ts.flattenDiagnosticMessageText(messageText, "\n")}\n    ${line}`);
  }
  console.log(`${files.length} dashboards, ${found.length} faults`);
  process.exitCode = found.length > 0 || files.length === 0 ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true });
}
