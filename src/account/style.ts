/** The style of all pages. Colours follow the browser's choice of light or dark. */
export const STYLE = `:root {
  color-scheme: light dark;
  --background: #ffffff; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de; --panel: #f6f8fa;
  --accent: #0550ae; --on-accent: #ffffff; --bad: #b3121d; --bad-panel: #fff1f0; --good: #116329; --good-panel: #eafbee;
}
@media (prefers-color-scheme: dark) {
  :root {
    --background: #0d1117; --text: #e6edf3; --quiet: #9ea7b1; --line: #3d444d; --panel: #161b22;
    --accent: #79b8ff; --on-accent: #0d1117; --bad: #ff9a92; --bad-panel: #2d1214; --good: #7ee2a0; --good-panel: #0f2417;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--background); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -10000px; }
.skip:focus { left: 1rem; top: 1rem; background: var(--background); padding: .5rem; }
header { border-bottom: 1px solid var(--line); background: var(--panel); }
header > div, main, footer { max-width: 72rem; margin: 0 auto; padding: .75rem 1rem; }
header > div { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; }
.brand { font-weight: 700; margin-right: auto; overflow-wrap: anywhere; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: 0; padding: 0; }
nav a { display: inline-block; padding: .25rem 0; }
nav a[aria-current] { color: var(--text); font-weight: 600; text-decoration: none; border-bottom: 2px solid var(--accent); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 1rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
form.fields { display: grid; gap: 1rem; max-width: 32rem; margin: 1rem 0; }
label { display: block; font-weight: 600; }
.hint { color: var(--quiet); font-size: .9rem; margin: .15rem 0 0; }
input, select, textarea {
  width: 100%; margin-top: .25rem; padding: .5rem .6rem; font: inherit; color: inherit; background: var(--background);
  border: 1px solid var(--quiet); border-radius: 6px;
}
textarea { min-height: 4.5rem; }
button {
  font: inherit; font-weight: 600; padding: .5rem 1rem; border-radius: 6px; border: 1px solid var(--accent); cursor: pointer;
  background: var(--accent); color: var(--on-accent);
}
button.quiet { background: transparent; color: var(--accent); }
button.danger { background: transparent; color: var(--bad); border-color: var(--bad); }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; }
.button {
  display: inline-block; padding: .5rem 1rem; border: 1px solid var(--accent); border-radius: 6px; text-decoration: none;
  font-weight: 600;
}
.wrong, .good { border: 1px solid; border-radius: 6px; padding: .75rem 1rem; margin: 1rem 0; }
.wrong { color: var(--bad); background: var(--bad-panel); }
.good { color: var(--good); background: var(--good-panel); }
.good p { margin: 0; }
.wrong ul { margin: 0; padding-left: 1.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--quiet); padding-bottom: .5rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--line); }
td { overflow-wrap: break-word; min-width: 5rem; }
td code, th code { overflow-wrap: normal; }
.action { position: sticky; right: 0; background: var(--background); padding: .5rem 0 .5rem .5rem; }
.agent { color: var(--quiet); font-size: .85rem; overflow-wrap: anywhere; min-width: 12rem; }
pre {
  background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .75rem; white-space: pre-wrap;
  overflow-wrap: anywhere; user-select: all;
}
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
.refused { color: var(--bad); font-weight: 600; }
.allowed { color: var(--good); }
footer { color: var(--quiet); font-size: .9rem; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; }
  dd { margin-bottom: .5rem; }
  .image { overflow-wrap: anywhere; min-width: 9rem; }
}
`;
