// The gateway's page: power now, energy over time, the plan and why, what needs attention.
import {
  Chart, NOTHING, centsPerKwh, follow, html, kilowatts, live, number, render, useEffect, useState,
} from '/parts/parts.js';
import { Steering } from '/steering.js';

const DAY_S = 86_400;
const SPANS = { day: 1, week: 7, month: 31, year: 365 };
const PLAN_BEHIND_S = 4 * 3600;
const QUIET_W = 30; // A battery below it rests, as people see it.

const language = navigator.language.startsWith('de') ? 'de' : 'en';
let words = {};
const t = (name) => words[name] ?? name;
const offsetS = -new Date().getTimezoneOffset() * 60;
const clock = (instant) => new Date(instant).toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit' });

function App() {
  const [state, setState] = useState(null);
  const [lost, setLost] = useState(false);
  useEffect(() => live('/live', '/state.json', 2000, setState, setLost), []);
  if (!state) return html`<main><section><p>${lost ? t('no_answer') : t('loading')}</p></section></main>`;
  const { status, notes } = state;
  const flow = status.cycle?.flow;
  return html`
    <header class="top"><h1>${status.site}</h1>
      <span class="muted number">${new Date(status.at).toLocaleString(language)}</span>
      ${lost && html`<span class="bad" role="alert">${t('no_answer')}</span>`}
      ${status.locked && html`<span class="warn" role="status">${t('locked')}</span>`}</header>
    <main>
      <${Now} flow=${flow} />
      <${Attention} notes=${notes} />
      <${Steering} wish=${status.wish} commands=${status.commands} locked=${status.locked} hasPlan=${Boolean(status.trading?.plan)} language=${language} t=${t} />
      <${Energy} />
      <${Plan} plan=${status.trading?.plan} />
      <${Outlook} outlook=${status.trading?.outlook ?? []} />
      <${Orders} orders=${status.trading?.own_orders ?? []} />
      <${Commands} commands=${status.commands} limits=${status.grid_limits} />
      <${Proof} />
      <${Devices} devices=${status.devices} assets=${flow?.assets ?? []} />
      <${Expert} />
    </main>`;
}

function Now({ flow }) {
  if (!flow || flow.grid_w == null) {
    return html`<section><h2>${t('now')}</h2><p class="big bad">${t('unknown')}</p><p>${t('silent')}</p></section>`;
  }
  const charges = flow.assets.filter((asset) => asset.soc_percent != null);
  const charge = charges.length ? charges.reduce((sum, asset) => sum + asset.soc_percent, 0) / charges.length : null;
  const hasPv = flow.assets.some((asset) => ['pv', 'hybrid'].includes(asset.kind));
  const hasLoads = flow.assets.some((asset) => asset.kind === 'load');
  const tiles = [
    hasPv && [t('pv'), flow.pv_w == null ? null : Math.max(0, -flow.pv_w), '', '--pv'],
    [t('house'), flow.house_w, '', '--house'],
    hasLoads && [t('loads'), flow.loads_w, '', '--warn'],
    charges.length && [t('battery'), flow.battery_w, `${battery(flow.battery_w)}, ${number(charge)} % ${t('charged')}`, '--battery'],
    [t('grid'), flow.grid_w, flow.grid_w >= 0 ? t('from_grid') : t('to_grid'), '--grid'],
  ].filter(Boolean);
  return html`<section><h2>${t('now')}</h2><div class="tiles">
    ${tiles.map(([name, powerW, note, colour]) => html`<div class="tile" key=${name} style=${{ borderColor: `var(${colour})` }}>
      <div class="muted">${name}</div><div class="big">${kilowatts(powerW, { unsigned: name !== t('house'), digits: 2 })}</div>
      <div class="small">${note || '\u00a0'}</div></div>`)}</div></section>`;
}

function battery(powerW) {
  if (powerW == null) return t('unknown');
  if (Math.abs(powerW) < QUIET_W) return t('resting');
  return powerW > 0 ? t('charging') : t('discharging');
}

function Attention({ notes }) {
  return html`<section><h2>${t('attention')}</h2>${notes.length
    ? html`<ul>${notes.map((note) => html`<li class="bad" key=${note}>${note}</li>`)}</ul>`
    : html`<p class="good">${t('all_well')}</p>`}</section>`;
}

function spanOf(name) {
  const now = Math.floor(Date.now() / 1000);
  if (name !== 'day') return [now - SPANS[name] * DAY_S, now];
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  return [Math.floor(midnight.getTime() / 1000), now];
}

function useHistory(span, everyMs) {
  const [course, setCourse] = useState(null);
  useEffect(() => {
    const url = () => { const [from, to] = span(); return `/history.json?from=${from}&to=${Math.max(to, from + 1)}`; };
    return follow(url, everyMs, setCourse, (lost) => { if (lost) setCourse(null); });
  }, [span]);
  return course;
}

const SPAN_OF = Object.fromEntries(Object.keys(SPANS).map((name) => [name, () => spanOf(name)]));
const behind = () => { const now = Math.floor(Date.now() / 1000); return [now - PLAN_BEHIND_S, now]; };
const kw = (values) => values.map((value) => (value == null ? null : value / 1000));

function Energy() {
  const [name, setName] = useState('day');
  const course = useHistory(SPAN_OF[name], 60_000);
  const buttons = Object.keys(SPANS).map((span) => html`<button key=${span} aria-pressed=${span === name} onClick=${() => setName(span)}>${t(span)}</button>`);
  return html`<section><h2>${t('energy')}</h2><div class="row" role="group" aria-label=${t('energy')}>${buttons}</div>
    ${course && course.at.length ? html`<${Totals} totals=${course.totals} />
      <${Chart} title=${t('energy')} times=${course.at} unit="kW" offsetS=${offsetS} series=${[
        { label: t('used'), colour: '--house', values: kw(course.used_w) },
        { label: t('pv'), colour: '--pv', fill: '--pv-fill', values: kw(course.pv_w.map((value) => -value)) },
        { label: t('battery'), colour: '--battery', values: kw(course.battery_w) },
        { label: t('grid'), colour: '--grid', values: kw(course.grid_w) },
      ]} />` : html`<p class="muted">${t('no_history')}</p>`}</section>`;
}

function Totals({ totals }) {
  const money = totals.cost_eur;
  const facts = [
    [t('used'), energy(totals.used_kwh)],
    totals.own_percent != null && [t('own'), `${number(totals.own_percent)} %`],
    [t('generated'), energy(totals.pv_kwh)],
    [t('bought'), energy(totals.imported_kwh)],
    [t('sold'), energy(totals.exported_kwh)],
    totals.charged_kwh + totals.discharged_kwh > 0 && [t('into_battery'), energy(totals.charged_kwh)],
    totals.charged_kwh + totals.discharged_kwh > 0 && [t('out_of_battery'), energy(totals.discharged_kwh)],
    money != null && [money >= 0 ? t('cost') : t('earned'), `${number(Math.abs(money), 2)} €`],
  ].filter(Boolean);
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt class="muted small">${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

const energy = (kwh) => `${number(kwh, 1)} kWh`;

function Plan({ plan }) {
  const course = useHistory(behind, 60_000);
  if (!plan || !plan.steps.length) return html`<section><h2>${t('plan')}</h2><p class="muted">${t('plan_none')}</p></section>`;
  const starts = plan.steps.map((step) => Date.parse(step.start) / 1000);
  const past = (course?.at ?? []).filter((at) => at < starts[0]); // What a chart draws goes on in time: the plan goes first.
  const times = [...past, ...starts];
  const joined = (seen, planned) => [...past.map((_, index) => (seen ? seen[index] / 1000 : null)), ...planned];
  const expected = (name, sign = 1) => plan.steps.map((step) => (sign * step[name]) / 1000);
  const prices = plan.steps.map((step) => step.buy_mct_per_kwh / 1000);
  return html`<section><h2>${t('plan')}</h2>
    <${Chart} title=${t('plan')} times=${times} unit="kW" offsetS=${offsetS} series=${[
      { label: t('battery'), colour: '--battery', fill: '--battery-fill', steps: true, values: joined(course?.battery_w, expected('battery_w')) },
      { label: t('expected_load'), colour: '--house', steps: true, values: joined(course?.used_w, expected('load_w')) },
      { label: t('expected_pv'), colour: '--pv', steps: true, values: joined(course?.pv_w.map((value) => -value), expected('pv_w', -1)) },
      { label: t('grid'), colour: '--grid', steps: true, values: joined(course?.grid_w, expected('grid_w')) },
    ]} />
    <${Chart} title=${t('price')} times=${times} unit="ct" offsetS=${offsetS} height=${130} series=${[
      { label: t('price'), colour: '--warn', steps: true, values: [...past.map(() => null), ...prices] },
    ]} />
    <div class="scroll" tabindex="0"><table class="cards"><thead><tr><th>${t('from')}</th><th>${t('until')}</th><th class="number">${t('battery')}</th>
      <th class="number">${t('grid')}</th><th class="number">${t('stored')}</th><th class="number">${t('price')}</th><th>${t('why')}</th></tr></thead>
      <tbody>${stretches(plan.steps).map((one) => html`<tr key=${one.start}><td>${clock(one.start)}</td><td>${clock(one.end)}</td>
        <td class="number" data-name=${t('battery')}>${kilowatts(one.battery_w)}</td><td class="number" data-name=${t('grid')}>${kilowatts(one.grid_w)}</td>
        <td class="number" data-name=${t('stored')}>${number(one.stored_wh / 1000, 1)} kWh</td><td class="number" data-name=${t('price')}>${centsPerKwh(one.price)}</td>
        <td class="wide">${one.why}</td></tr>`)}</tbody></table></div>
    ${plan.limits_passed.map((limit) => html`<p class="bad" key=${limit}>${limit}</p>`)}
  </section>`;
}

/** Join steps in a row that have one reason; powers and prices are means over their minutes. */
function stretches(steps) {
  const found = [];
  for (const step of steps) {
    const last = found.at(-1);
    if (last && last.why === step.why) last.steps.push(step);
    else found.push({ why: step.why, steps: [step] });
  }
  return found.map(({ why, steps: joined }) => {
    const minutes = joined.reduce((sum, step) => sum + step.minutes, 0);
    const mean = (name) => joined.reduce((sum, step) => sum + step[name] * step.minutes, 0) / Math.max(1, minutes);
    const start = Date.parse(joined[0].start);
    return {
      why, start, end: start + minutes * 60_000, battery_w: mean('battery_w'), grid_w: mean('grid_w'),
      stored_wh: joined.at(-1).stored_wh, price: mean('buy_mct_per_kwh'),
    };
  });
}

const FORECAST = { load: ['forecast_load', '--house', 1], pv: ['forecast_pv', '--pv', -1], price: ['forecast_price', '--warn', 1] };

/** What is forecast, with the band that nine of ten outcomes reach at least and at most. */
function Outlook({ outlook }) {
  if (!outlook.length) return null;
  return html`<section><h2>${t('forecasts')}</h2>${outlook.map((one) => {
    const [name, colour, sign] = FORECAST[one.kind];
    const times = one.p50.map((_, step) => Date.parse(one.start) / 1000 + step * one.step_s);
    const scaled = (values) => values.map((value) => (sign * value) / 1000);
    const [low, high] = sign > 0 ? [one.p10, one.p90] : [one.p90, one.p10];
    return html`<h3 key=${one.kind}>${t(name)} <span class="muted small">${t(`by_${one.by}`)}</span></h3>
      <${Chart} title=${t(name)} times=${times} unit=${one.kind === 'price' ? 'ct' : 'kW'} offsetS=${offsetS} height=${150} series=${[
        { label: t('at_most'), colour, dash: [4, 4], bandTo: 2, steps: true, values: scaled(high) },
        { label: t('expected'), colour, steps: true, values: scaled(one.p50) },
        { label: t('at_least'), colour, dash: [4, 4], thin: true, steps: true, values: scaled(low) },
      ]} />`;
  })}</section>`;
}

/** The newest events: what was asked, what became of it, what the meter said, and whether the chain of records holds. */
function Proof() {
  const [events, setEvents] = useState([]);
  useEffect(() => follow(() => '/proof.json', 30_000, setEvents, () => {}), []);
  if (!events.length) return null;
  return html`<section><h2>${t('proof')}</h2><div class="scroll" tabindex="0"><table><thead><tr><th>${t('from')}</th><th>${t('event')}</th>
    <th>${t('asks')}</th><th>${t('by')}</th><th>${t('stage')}</th><th class="number">${t('meter_before')}</th><th class="number">${t('meter_after')}</th><th>${t('records')}</th></tr></thead>
    <tbody>${events.map((one) => html`<tr key=${one.event_id}><td>${new Date(one.from).toLocaleString(language, { dateStyle: 'short', timeStyle: 'short' })}</td><td>${one.event_id}</td>
      <td>${lines(one.orders.map((order) => asked(order.action)))}</td><td>${lines([...new Set(one.orders.map((order) => order.issuer))])}</td>
      <td>${lines(one.orders.map((order) => order.stage ?? order.reason ?? ''))}</td>
      <td class="number">${kilowatts(one.meter_first_w)}</td><td class="number">${kilowatts(one.meter_last_w)}</td>
      <td><a href=${`/proof.json?event=${encodeURIComponent(one.event_id)}`} download=${`${one.event_id}.json`}>${one.records} ${t('records')}</a>
        <br/><span class=${one.holds ? 'good' : 'bad'}>${one.holds ? t('chain_holds') : `${t('chain_broken')}: ${one.why}`}</span></td></tr>`)}</tbody></table></div></section>`;
}

const lines = (texts) => texts.map((text) => html`<div>${text}</div>`);

function Orders({ orders }) {
  if (!orders.length) return null;
  return html`<section><h2>${t('orders')}</h2><div class="scroll" tabindex="0"><table><thead><tr><th>${t('from')}</th><th>${t('order')}</th><th class="number">${t('price_of')}</th>
    <th class="number">${t('ordered')}</th><th class="number">${t('traded')}</th><th>${t('stage')}</th></tr></thead><tbody>${orders.map((one) => html`<tr key=${one.order_id}>
    <td>${clock(one.start)}</td><td>${t(one.side)}</td><td class="number">${centsPerKwh(one.price_mct_per_kwh)}</td><td class="number">${number(one.quantity_wh / 1000, 2)} kWh</td>
    <td class="number">${number(one.traded_wh / 1000, 2)} kWh</td><td>${one.open ? t('order_open') : t('order_closed')}</td></tr>`)}</tbody></table></div></section>`;
}

function Commands({ commands, limits }) {
  const rows = Object.entries(limits);
  if (!commands.length && !rows.length) return null;
  return html`<section class="half"><h2>${t('commands')}</h2>
    ${commands.length > 0 && html`<div class="scroll" tabindex="0"><table><thead><tr><th>${t('command')}</th><th>${t('event')}</th><th>${t('asks')}</th><th>${t('by')}</th>
      <th>${t('stage')}</th><th class="number">${t('left')}</th></tr></thead><tbody>${commands.map((one) => html`<tr key=${one.command_id}>
      <td>${one.command_id}</td><td>${one.event_id ?? ''}</td><td>${asked(one.action)}</td><td>${one.issuer}</td><td>${one.stage}</td><td class="number">${number(one.left_s)} s</td></tr>`)}</tbody></table></div>`}
    ${rows.length > 0 && html`<h2>${t('limits')}</h2><ul class="plain">${rows.map(([name, limit]) => html`<li key=${name}>${name}: ${limit.state},
      ${' '}${limit.limit_w == null ? t('no_limit') : kilowatts(limit.limit_w)}</li>`)}</ul>`}</section>`;
}

const asked = ({ kind, ...fields }) => [kind.replaceAll('_', ' '), ...Object.entries(fields).filter(([, value]) => value != null)
  .map(([name, value]) => (name.endsWith('_w') || name.endsWith('w_max') ? kilowatts(value) : `${value}`))].join(' ');

function Devices({ devices, assets }) {
  const powers = Object.fromEntries(assets.map((asset) => [asset.id, asset]));
  return html`<section class="half"><h2>${t('devices')}</h2><div class="scroll" tabindex="0"><table>
    <thead><tr><th>${t('device')}</th><th>${t('stage')}</th><th class="number">${t('power')}</th><th class="number">${t('charged')}</th></tr></thead>
    <tbody>${devices.map((one) => html`<tr key=${one.id}><td>${one.id} <span class="muted small">${one.profile}</span></td>
      <td class=${one.online ? 'good' : 'bad'}>${one.online ? t('online') : `${t('offline')}: ${one.last_error ?? one.stage}`}</td>
      <td class="number">${powers[one.id] ? kilowatts(powers[one.id].power_w, { digits: 2 }) : NOTHING}</td>
      <td class="number">${powers[one.id]?.soc_percent == null ? NOTHING : `${number(powers[one.id].soc_percent)} %`}</td></tr>`)}</tbody></table></div></section>`;
}

function Expert() {
  const [open, setOpen] = useState(false);
  const [tables, setTables] = useState('');
  useEffect(() => {
    if (!open) return undefined;
    const look = async () => { try { const answer = await fetch('/tables.html'); if (answer.ok) setTables(await answer.text()); } catch { /* the header says it */ } };
    look();
    const timer = setInterval(look, 2000);
    return () => clearInterval(timer);
  }, [open]);
  return html`<section><details onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>${t('expert')}</summary>
    <div dangerouslySetInnerHTML=${{ __html: tables }}></div></details></section>`;
}

document.documentElement.lang = language;
words = await (await fetch(`/words/${language}.json`)).json();
document.getElementById('before')?.remove();
render(html`<${App} />`, document.body);
