// A feeder: loading, supply and disturbances each second, its events with their proof, requests, and what-if.
import { Act, Fault, LOOK_MS, Reason, instant, skill, stream, t, useAnswer } from '/asking.js';
import { Chart, centsPerKwh, euros, html, kilowattHours, kilowatts, number, useEffect, useState } from '/parts/parts.js';
import { Table } from '/tables.js';

const EVIDENCE_AT_ONCE = 500;

const supplyName = (name) => (name === 'frequency_hz' ? t('frequency') : name.slice(8, 10).toUpperCase());

export function Grid({ feeder, may }) {
  const [status, fault, again] = useAnswer(() => skill('grid_status', { feeder, events: 10 }), LOOK_MS, [feeder]);
  const [second, setSecond] = useState({});
  const [shown, setShown] = useState('');
  useEffect(() => stream(`/v1/live/feeder/${feeder}`, (kind, data) => setSecond((before) => ({ ...before, [kind]: data }))), [feeder]);
  const supply = second.supply ? Object.entries(second.supply) : (status?.supply ?? []).map((one) => [one.name, one.value]);
  if (!may.has('grid_status')) return null;
  const now = second.feeder ?? status;
  const loading = now?.power_w == null || !now.limit_w ? null : (100 * Math.abs(now.power_w)) / now.limit_w;
  const share = Math.min(100, loading ?? 0);
  const kind = share >= 100 ? 'bad' : share > 90 ? 'warn' : '';
  const rows = (status?.events ?? []).map((one) => ({ ...one, key: one.event_id, sites: one.sites.length }));
  return html`<section><h2>${t('feeder')} ${feeder}</h2><${Fault} text=${fault} />
    ${status && html`<p><strong class=${now.state == null ? 'muted' : now.state === 'normal' ? 'good' : 'warn'}>${now.state ?? t('unknown')}</strong>, ${kilowatts(now.power_w)} ${t('of')} ${kilowatts(now.limit_w)} (${number(loading, 1)} %), ${instant(now.at)}${supply.map(([name, value]) => html`, <span key=${name}>${supplyName(name)} ${number(value, name === 'frequency_hz' ? 3 : 1)} ${name === 'frequency_hz' ? 'Hz' : 'V'}</span>`)}</p>
    <div class="bar ${kind}"><i style=${{ width: `${share}%` }}></i></div>
    ${now.disturbances.length > 0 && html`<p class="bad" role="status">${now.disturbances.map((one) => one.replaceAll('_', ' ')).join(', ')}</p>`}
    ${(may.has('open_event') || may.has('close_event')) && html`<${Request} feeder=${feeder} may=${may} done=${again} />`}
    <h3>${t('events')}</h3><${Table} name=${`events ${feeder}`} t=${t} none=${t('no_events')} rows=${rows} columns=${[
      { name: 'event_id', title: t('event') }, { name: 'detected_at', title: t('since'), show: instant }, { name: 'limit_w', title: t('limit'), show: (powerW) => kilowatts(powerW), number: true },
      { name: 'peak_w', title: t('peak'), show: (powerW) => kilowatts(powerW), number: true }, { name: 'sites', title: t('sites'), number: true }, { name: 'commands', title: t('commands'), number: true },
      { name: 'effective', title: t('effective'), number: true }, { name: 'delivered_wh', title: t('delivered'), show: (wh) => kilowattHours(wh), number: true }, { name: 'released', title: t('released'), show: (is) => (is ? t('yes') : t('no')) },
      { name: 'key', title: '', action: true, show: (id) => (may.has('event_evidence') ? html`<button class="small" onClick=${() => setShown(shown === id ? '' : id)} aria-label=${`${t('evidence')} ${id}`}>${t('evidence')}</button>` : '') }]} />
    ${shown && html`<${Evidence} feeder=${feeder} event=${shown} />`}
    ${may.has('coordinate') && html`<${WhatIf} feeder=${feeder} />`}
    ${may.has('relief_study') && html`<${Study} feeder=${feeder} />`}`}</section>`;
}

function Evidence({ feeder, event }) {
  const [records, fault] = useAnswer(() => evidence(feeder, event), LOOK_MS, [feeder, event]);
  const metered = (records ?? []).filter((one) => one.kind === 'metered');
  const sites = [...new Set(metered.map((one) => one.site))];
  return html`<h3>${t('evidence')} ${event}</h3><${Fault} text=${fault} />
    ${sites.map((site) => html`<${Against} key=${site} site=${site} records=${metered.filter((one) => one.site === site)} />`)}
    <${Table} name=${`evidence ${event}`} t=${t} rows=${(records ?? []).map((one) => ({ ...one, key: one.number }))} columns=${[
    { name: 'number', title: '#', number: true }, { name: 'at', title: t('since'), show: instant }, { name: 'kind', title: t('kind') }, { name: 'site', title: t('site') },
    { name: 'fields', title: t('said'), show: (fields) => Object.entries(fields).map(([name, value]) => `${name} ${value}`).join(', ') }]} />`;
}

async function evidence(feeder, event) {
  const records = [];
  for (let first = 0; first !== null;) {
    const page = await skill('event_evidence', { feeder, event_id: event, first, count: EVIDENCE_AT_ONCE });
    records.push(...page.records);
    first = page.next;
  }
  return records;
}

/** What a site used beside what it would have used. */
function Against({ site, records }) {
  const last = records.at(-1).fields;
  const told = (name) => records.map((one) => (one.fields[name] == null ? null : one.fields[name] / 1000));
  return html`<p>${site}: ${t('baseline')} ${kilowatts(last.baseline_w)}, ${t('meter')} ${kilowatts(last.connection_power_w)}, ${t('delivered')} ${kilowattHours(last.delivered_wh, 2)}</p>
    ${records.length > 1 && html`<${Chart} title=${`${t('baseline')}, ${t('meter')}: ${site}`} times=${records.map((one) => one.at / 1000)} unit="kW" offsetS=${-new Date().getTimezoneOffset() * 60} height=${140} series=${[
      { label: t('baseline'), colour: '--muted', dash: [5, 4], values: told('baseline_w') }, { label: t('meter'), colour: '--grid', values: told('connection_power_w') }]} />`}`;
}

const Direction = () => html`<label>${t('direction')}<select name="direction"><option value="reduce_import">${t('reduce_import')}</option><option value="reduce_export">${t('reduce_export')}</option></select></label>`;
const Minutes = () => html`<label>${t('minutes')}<input name="minutes" type="number" min="1" max="240" value="15" required /></label>`;

/** Build an event: hold the feeder below a lower limit for a while, or end such a request. */
function Request({ feeder, may, done }) {
  const told = (state) => `${t('limit')}: ${t('import')} ${kilowatts(state.import_limit_w)}, ${t('export')} ${kilowatts(state.export_limit_w)}${state.until ? `, ${t('until')} ${instant(state.until)}` : ''}`;
  const open = async (form) => told(await skill('open_event', { feeder, direction: form.get('direction'), limit_w: Math.round(form.get('limit_kw') * 1000), duration_s: form.get('minutes') * 60, reason: form.get('reason') }, crypto.randomUUID()));
  const close = async () => told(await skill('close_event', { feeder }, crypto.randomUUID()));
  return html`${may.has('open_event') && html`<${Act} title=${t('request')} keep send=${open} done=${done}><${Direction} /><label>${t('limit')} kW<input name="limit_kw" type="number" min="0.001" step="any" required /></label><${Minutes} /><${Reason} /><button>${t('open')}</button><//>`}
    ${may.has('close_event') && html`<${Act} send=${close} done=${done}><button>${t('end_request')}</button><//>`}`;
}

/** Which sites would give a relief most cheaply now; nothing is ordered. */
function WhatIf({ feeder }) {
  const [answer, setAnswer] = useState(null);
  const send = async (form) => {
    const found = await skill('coordinate', { feeder, direction: form.get('direction'), need_w: Math.round(form.get('need_kw') * 1000), duration_s: form.get('minutes') * 60 });
    setAnswer(found);
    return found.reason;
  };
  return html`<h3>${t('what_if')}</h3><${Act} title=${t('relief')} keep send=${send}><${Direction} /><label>kW<input name="need_kw" type="number" min="0.001" step="any" required /></label><${Minutes} /><button>${t('try')}</button><//>
    ${answer && html`<p class=${answer.accepted ? 'good' : 'warn'}>${answer.accepted ? t('reached') : `${t('missing')} ${kilowatts(answer.shortfall_w)}`}, ${euros(answer.cost_uct)}</p>
    <${Table} name=${`relief ${feeder}`} t=${t} rows=${answer.shares.map((one) => ({ ...one, key: one.site }))} columns=${[
      { name: 'site', title: t('site') }, { name: 'means', title: t('means') }, { name: 'change_w', title: t('change'), show: (powerW) => kilowatts(powerW), number: true },
      { name: 'change_w_max', title: t('most'), show: (powerW) => kilowatts(powerW), number: true }, { name: 'price_mct_per_kwh', title: t('price'), show: centsPerKwh, number: true }]} />`}`;
}

const NETWORK = { nodes: [{ id: 0, rated_v: 400 }, { id: 1, rated_v: 400, power_w: 90000 }], lines: [{ from_node: 0, to_node: 1, r_ohm: 0.1, x_ohm: 0.05, current_a_max: 140 }], source_node: 0, offers: [{ node: 1, change_w_min: -60000, price_mct_per_kwh: 30000 }] };

/** The same in a network that is typed in: a planned line or wallbox is tried before it is built. */
function Study({ feeder }) {
  const [answer, setAnswer] = useState(null);
  const send = async (form) => { const found = await skill('relief_study', JSON.parse(form.get('network'))); setAnswer(found); return found.within_limits ? t('reached') : t('not_reached'); };
  const row = (name, state) => ({ key: name, state: t(name), ...state });
  const perUnit = (name, title) => ({ name, title, show: (value) => number(value, 3), number: true });
  return html`<details><summary>${t('network')}</summary><${Act} title=${t('network')} keep send=${send}><label>JSON<textarea name="network" rows="8" cols="60" required>${JSON.stringify(NETWORK, null, 1)}</textarea></label><button>${t('calculate')}</button><//>
    ${answer && html`<p>${answer.changes_w.map((powerW) => kilowatts(powerW)).join(', ')}; ${euros(answer.cost_uct)}</p><${Table} name=${`study ${feeder}`} t=${t} rows=${[row('before', answer.before), row('after', answer.after)]} columns=${[
      { name: 'state', title: '' }, perUnit('voltage_pu_min', `${t('voltage')} min`), perUnit('voltage_pu_max', `${t('voltage')} max`), perUnit('line_loading_max', t('lines')), perUnit('transformer_loading_max', t('transformer'))]} />`}</details>`;
}
