// A table that can be taken along as CSV.
import { html } from '/parts/parts.js';

/** Return a cell as CSV; a text that a spreadsheet would calculate is kept from it. */
function cell(value) {
  const text = value == null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
  const kept = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(kept) ? `"${kept.replaceAll('"', '""')}"` : kept;
}

export const asCsv = (columns, rows) =>
  [columns.map((one) => cell(one.name)).join(','), ...rows.map((row) => columns.map((one) => cell(row[one.name])).join(','))].join('\r\n') + '\r\n';

function save(name, text) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  link.download = `${name}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** `columns`: [{ name (of the field, and in the CSV), title, show(value, row), number }]; the CSV has the raw values. */
export function Table({ name, columns, rows, none, t }) {
  if (!rows.length) return html`<p class="muted">${none ?? t('nothing')}</p>`;
  const kind = (one) => (one.number ? 'number' : '');
  return html`<div class="scroll" tabindex="0"><table><thead><tr>${columns.map((one) => html`<th key=${one.name} class=${kind(one)}>${one.title}</th>`)}</tr></thead>
    <tbody>${rows.map((row, index) => html`<tr key=${row.key ?? index}>${columns.map((one) => html`<td key=${one.name} class=${kind(one)}>${one.show ? one.show(row[one.name], row) : row[one.name] ?? ''}</td>`)}</tr>`)}</tbody></table></div>
    <div class="row"><button class="small" onClick=${() => save(name, asCsv(columns.filter((one) => !one.action), rows))} aria-label=${`${name} CSV`}>CSV</button></div>`;
}
