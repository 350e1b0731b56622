// Where the sites lie, without a map from anywhere: north is up, one point a site, filled by whether it is online.
import { t } from '/asking.js';
import { html, number } from '/parts/parts.js';

const WIDTH = 640;
const HEIGHT = 320;
const EDGE = 24;
const LABELS_MAX = 40;

/** Return x and y of each row that has a place; a degree of longitude is as long as at the middle latitude. */
export function placed(rows) {
  const known = rows.filter((one) => one.latitude != null && one.longitude != null);
  if (!known.length) return [];
  const middle = known.reduce((sum, one) => sum + one.latitude, 0) / known.length;
  const flat = known.map((one) => ({ row: one, east: one.longitude * Math.cos((middle * Math.PI) / 180), north: one.latitude }));
  const west = Math.min(...flat.map((one) => one.east));
  const south = Math.min(...flat.map((one) => one.north));
  const width = Math.max(...flat.map((one) => one.east)) - west;
  const height = Math.max(...flat.map((one) => one.north)) - south;
  const scale = Math.min((WIDTH - 2 * EDGE) / (width || 1e-9), (HEIGHT - 2 * EDGE) / (height || 1e-9), 1e6);
  return flat.map((one) => ({ row: one.row, x: WIDTH / 2 + (one.east - west - width / 2) * scale, y: HEIGHT / 2 - (one.north - south - height / 2) * scale }));
}

export function Map({ rows, choose }) {
  const points = placed(rows);
  if (!points.length) return null;
  const kind = (row) => (row.online == null ? 'var(--muted)' : row.online ? 'var(--good)' : 'var(--bad)');
  const state = (row) => (row.online == null ? t('never_heard') : row.online ? t('online') : t('offline'));
  return html`<details open><summary>${t('map')}</summary><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="group" aria-label="${t('map')}: ${number(points.length)} ${t('sites')}" style=${{ width: '100%', maxHeight: '24rem' }}>
    ${points.map(({ row, x, y }) => html`<g key=${row.site} role="button" tabindex="0" aria-label="${row.site}, ${state(row)}" style=${{ cursor: 'pointer' }} onClick=${() => choose(row.site)} onKeyDown=${(event) => { if (event.key === 'Enter') choose(row.site); }}>
      <circle cx=${x} cy=${y} r="12" fill="transparent" /><circle cx=${x} cy=${y} r="6" fill=${row.online === false ? 'none' : kind(row)} stroke=${kind(row)} stroke-width="2.5" /><title>${row.site}, ${state(row)}</title>
      ${points.length <= LABELS_MAX && html`<text x=${x + 10} y=${y + 4} font-size="12" fill="var(--text)">${row.site}</text>`}</g>`)}</svg></details>`;
}
