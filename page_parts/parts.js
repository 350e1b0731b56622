// Parts of every page: what is shown (html), how numbers read, a chart, and how a page follows what happens.
import { html, render, useEffect, useRef, useState } from './vendor/htm-preact.js';

export { html, render, useEffect, useRef, useState };

export const NOTHING = '–';

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

/** Return a number in the reader's own way of writing, NOTHING where there is none. */
export function number(value, digits = 0) {
  return isNumber(value)
    ? value.toLocaleString(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits })
    : NOTHING;
}

/** Return a power in kW; the sign is left out where `unsigned`. */
export function kilowatts(powerW, { unsigned = false, digits = 1 } = {}) {
  return isNumber(powerW) ? `${number((unsigned ? Math.abs(powerW) : powerW) / 1000, digits)} kW` : NOTHING;
}

/** Return an energy in kWh. */
export const kilowattHours = (energyWh, digits = 1) =>
  (isNumber(energyWh) ? `${number(energyWh / 1000, digits)} kWh` : NOTHING);

/** Return a price of thousandths of a cent a kWh in ct/kWh. */
export const centsPerKwh = (priceMct) => (isNumber(priceMct) ? `${number(priceMct / 1000, 2)} ct/kWh` : NOTHING);

/** Return an amount of millionths of a cent in EUR. */
export const euros = (amountUct) => (isNumber(amountUct) ? `${number(amountUct / 1e8, 2)} EUR` : NOTHING);

/** Return the clock time of an ISO instant as it is written there: the server says local time with its offset. */
export const clockTime = (instant, { seconds = false } = {}) =>
  (instant ? instant.slice(11, seconds ? 19 : 16) : NOTHING);

/** A chart over time. `series`: [{ label, colour (a CSS variable), fill, values, dash, steps }], `times` in seconds. */
export function Chart({ title, times, series, unit, offsetS = 0, height = 220 }) {
  const holder = useRef(null);
  const chart = useRef(null);
  const shape = series.map((one) => one.label).join('|');
  useEffect(() => {
    const styles = getComputedStyle(document.documentElement);
    const colour = (name) => styles.getPropertyValue(name).trim();
    const thin = { stroke: colour('--line'), width: 1 };
    const axis = { stroke: colour('--muted'), grid: thin, ticks: thin };
    const local = (second) => new Date((second + offsetS) * 1e3).toISOString();
    const plot = new window.uPlot({
      width: holder.current.clientWidth || 320,
      height,
      cursor: { y: false },
      axes: [{ ...axis, values: (_, seconds) => seconds.map((second) => local(second).slice(11, 16)) }, { ...axis, size: 76, values: (_, values) => values.map((value) => `${value} ${unit}`) }],
      series: [{ value: (_, second) => (second == null ? NOTHING : local(second).slice(11, 19)) }, ...series.map((one) => ({
        label: one.label, stroke: colour(one.colour), width: one.bandTo == null && !one.thin ? 2 : 1, dash: one.dash, spanGaps: true,
        paths: one.steps ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
        fill: one.fill ? `${colour(one.fill)}55` : undefined,
        value: (_, value) => (value == null ? NOTHING : `${number(value, 1)} ${unit}`),
      }))],
      bands: series.flatMap((one, at) => (one.bandTo == null ? [] : [{ series: [at + 1, one.bandTo + 1], fill: `${colour(one.colour)}33` }])),
    }, [times, ...series.map((one) => one.values)], holder.current);
    chart.current = plot;
    const resized = new ResizeObserver(() => plot.setSize({ width: holder.current.clientWidth, height }));
    resized.observe(holder.current);
    return () => { resized.disconnect(); plot.destroy(); chart.current = null; };
  }, [shape, unit, height, offsetS]);
  useEffect(() => { chart.current?.setData([times, ...series.map((one) => one.values)]); }, [times, series]);
  return html`<div class="chart" role="img" aria-label=${title} ref=${holder}></div>`;
}

const SILENT_MS = 15_000;

/** Take what a stream tells, and `lost(true)` while it is gone; where there is none, `url` is asked every `everyMs`. */
export function live(stream, url, everyMs, take, lost) {
  let source = null;
  let stopFollowing = null;
  let heardMs = 0;
  const heard = () => { heardMs = Date.now(); };
  const open = () => {
    source?.close();
    heard();
    source = new EventSource(stream);
    source.onmessage = (event) => { heard(); lost(false); take(JSON.parse(event.data)); };
    source.addEventListener('gone', () => { heard(); lost(true); });
    source.onerror = () => {
      lost(true);
      if (source.readyState === EventSource.CLOSED && !stopFollowing) stopFollowing = follow(() => url, everyMs, take, lost);
    };
  };
  open();
  // A network that vanished tells nobody: a stream that is silent for long is opened again.
  const watch = setInterval(() => { if (!stopFollowing && Date.now() - heardMs > SILENT_MS) { lost(true); open(); } }, SILENT_MS / 3);
  return () => { clearInterval(watch); source.close(); stopFollowing?.(); };
}

/** Ask `url(last)` every `everyMs` for ever; `take(answer)` gets each answer, `lost(true)` is told when none comes. */
export function follow(url, everyMs, take, lost) {
  let last = null;
  let stopped = false;
  const again = async () => {
    try {
      const answer = await fetch(url(last), { cache: 'no-store', signal: AbortSignal.timeout(10_000) });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      last = await answer.json();
      if (!stopped) { lost(false); take(last); }
    } catch {
      if (!stopped) lost(true);
    }
    if (!stopped) setTimeout(again, everyMs);
  };
  again();
  return () => { stopped = true; };
}
