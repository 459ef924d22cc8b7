"""The style sheet of the report, light or dark by the reader's system."""

CSS = """
:root{color-scheme:light dark;--ground:#fff;--text:#1f2328;--faint:#626b76;--line:#d9dee4;--soft:#f4f6f8;
--ahead:#0b62d6;--good:#1a7f37;--bad:#c02626}
@media (prefers-color-scheme:dark){:root{--ground:#14181d;--text:#e3e8ee;--faint:#97a1ad;--line:#2f3740;
--soft:#1b2026;--ahead:#6cb2ff;--good:#56d364;--bad:#ff7b72}}
*{box-sizing:border-box}body{margin:0 auto;padding:24px 20px 64px;max-width:1120px;background:var(--ground);
color:var(--text);font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}
h1{font-size:26px;margin:0}
h2{font-size:18px;margin:36px 0 8px;border-top:1px solid var(--line);padding-top:16px}
h3{font-size:15px;margin:18px 0 4px}p{margin:6px 0}.faint{color:var(--faint)}.good{color:var(--good)}
.bad{color:var(--bad)}code,pre{font:13px/1.45 ui-monospace,Menlo,Consolas,monospace}
pre{background:var(--soft);padding:12px;overflow:auto;border-radius:6px}
.wide{overflow-x:auto;max-height:70vh;overflow-y:auto;border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:13.5px}th,td{text-align:left;padding:4px 10px;
border-bottom:1px solid var(--line);vertical-align:top}th{position:sticky;top:0;background:var(--soft);
font-weight:600;white-space:nowrap}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tr.ahead td{color:var(--ahead);font-weight:600}td.t{white-space:nowrap}
summary{cursor:pointer;padding:6px 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:12px 0}
dt{color:var(--faint)}dd{margin:0}
dd{overflow-wrap:anywhere}td{overflow-wrap:break-word}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:12px 28px}
.plot{width:100%;height:auto;display:block;
font:12px system-ui,-apple-system,'Segoe UI',sans-serif}
"""
