// The operator's console: fleet, market, grid, claims, statements. Everything is a skill behind the doors, asked over REST.
import { FLEET_MS, Fault, LOOK_MS, PAGE, TOKEN, alarmTexts, instant, language, listed, readWords, skill, t, useAnswer } from '/asking.js';
import { Gateways } from '/gateways.js';
import { Grid } from '/grid.js';
import { Map } from '/map.js';
import { Audit, Proposals, SetAside } from '/operations.js';
import { Chart, centsPerKwh, euros, html, kilowattHours, kilowatts, number, render, useEffect, useState } from '/parts/parts.js';
import { Table } from '/tables.js';

const ASKED_AT_ONCE = 6;
const HOURS = 6;

function App() {
  const [house, setHouse] = useState(null);
  const [fault, setFault] = useState('');
  const [closed, setClosed] = useState(false);
  const enter = async () => {
    setFault('');
    try {
      const [skills, zones, feeders, sites] = await Promise.all(['skills', 'zones', 'feeders', 'sites'].map(listed));
      setHouse({ may: new Set(skills.map((one) => one.name)), zones, feeders, sites });
      setClosed(false);
    } catch (error) { setClosed(error.status === 401); setFault(error.status === 401 && !sessionStorage.getItem(TOKEN) ? '' : error.message); }
  };
  useEffect(() => { enter(); }, []);
  const leave = () => { sessionStorage.removeItem(TOKEN); setHouse(null); enter(); };
  if (!house) return html`<main><section><h1>${t('console')}</h1>${closed ? html`<${SignIn} enter=${enter} />` : html`<p>${fault ? '' : t('loading')}</p>`}<${Fault} text=${fault} /></section></main>`;
  return html`<${House} house=${house} leave=${leave} />`;
}

function SignIn({ enter }) {
  const submit = (event) => { event.preventDefault(); sessionStorage.setItem(TOKEN, new FormData(event.currentTarget).get('token').trim()); enter(); };
  return html`<form class="row fields" onSubmit=${submit}><label>${t('token')}<input name="token" type="password" required autocomplete="off" /></label><button>${t('sign_in')}</button></form>`;
}

function House({ house, leave }) {
  const [zone, setZone] = useState(house.zones[0]?.id ?? '');
  const here = (items) => items.filter((one) => one.zone === zone);
  const signedIn = sessionStorage.getItem(TOKEN) !== null;
  return html`<header class="top"><h1>${t('console')}</h1>
      <label>${t('zone')} <select value=${zone} onChange=${(event) => setZone(event.currentTarget.value)}>${house.zones.map((one) => html`<option key=${one.id} value=${one.id}>${one.id}</option>`)}</select></label>
      ${signedIn && html`<button onClick=${leave}>${t('sign_out')}</button>`}</header>
    <main>${zone && html`<${Market} key=${`market ${zone}`} zone=${zone} may=${house.may} />
      <${Fleet} key=${`fleet ${zone}`} sites=${here(house.sites)} may=${house.may} />
      ${here(house.feeders).map((one) => html`<${Grid} key=${one.id} feeder=${one.id} may=${house.may} />`)}
      <${Claims} key=${`claims ${zone}`} zone=${zone} may=${house.may} />
      <${Statements} key=${`statements ${zone}`} sites=${here(house.sites)} may=${house.may} />
      <${Health} key=${`health ${zone}`} zone=${zone} may=${house.may} />`}
      <${Gateways} may=${house.may} /><${Proposals} may=${house.may} /><${SetAside} may=${house.may} /><${Audit} may=${house.may} /></main>`;
}

// The market.

function Market({ zone, may }) {
  const hours = { zone, hours_back: HOURS, hours_ahead: HOURS };
  const [status, fault, again] = useAnswer(() => skill('market_status', hours), LOOK_MS, [zone]);
  const [offers] = useAnswer(() => skill('price_discovery', hours), LOOK_MS, [zone]);
  if (!status) return html`<section><h2>${t('market')}</h2><${Fault} text=${fault} /></section>`;
  const priced = status.products.filter((one) => one.price_mct_per_kwh != null);
  const bookColumns = [
    { name: 'interval_start', title: t('interval'), show: instant }, { name: 'state', title: t('state') },
    { name: 'best_buy_mct_per_kwh', title: t('best_buy'), show: centsPerKwh, number: true }, { name: 'best_sell_mct_per_kwh', title: t('best_sell'), show: centsPerKwh, number: true },
    { name: 'buy_wh', title: t('wanted'), show: (wh) => kilowattHours(wh), number: true }, { name: 'sell_wh', title: t('offered'), show: (wh) => kilowattHours(wh), number: true },
    { name: 'last_price_mct_per_kwh', title: t('last_price'), show: centsPerKwh, number: true }, { name: 'volume_wh', title: t('volume'), show: (wh) => kilowattHours(wh), number: true },
  ];
  return html`<section><h2>${t('market')}</h2><${Fault} text=${fault} />
    <p>${status.halted ? html`<strong class="bad" role="status">${t('halted')}: ${status.halted}</strong>` : html`<strong class="good">${t('trades')}</strong>`},
      ${' '}${t('last_price')} ${centsPerKwh(status.last_price_mct_per_kwh)}, ${t('volume')} ${kilowattHours(status.volume_wh)}</p>
    ${(may.has('halt_market') || may.has('resume_market')) && html`<${Halt} zone=${zone} halted=${Boolean(status.halted)} done=${again} />`}
    ${priced.length > 1 && html`<${Chart} title=${t('price')} times=${priced.map((one) => one.interval_start / 1000)} unit="ct" offsetS=${-new Date().getTimezoneOffset() * 60} height=${160} series=${[
      { label: t('price'), colour: '--warn', steps: true, values: priced.map((one) => one.price_mct_per_kwh / 1000) },
      { label: `${t('volume')} kWh`, colour: '--grid', steps: true, values: priced.map((one) => one.volume_wh / 1000) }]} />`}
    <h3>${t('intervals')}</h3><${Table} name="intervals" t=${t} rows=${status.products.map((one) => ({ ...one, key: one.interval_start }))} columns=${[
      { name: 'interval_start', title: t('interval'), show: instant }, { name: 'state', title: t('state') },
      { name: 'price_mct_per_kwh', title: t('price'), show: centsPerKwh, number: true }, { name: 'price_low_mct_per_kwh', title: t('low'), show: centsPerKwh, number: true },
      { name: 'price_high_mct_per_kwh', title: t('high'), show: centsPerKwh, number: true }, { name: 'volume_wh', title: t('volume'), show: (wh) => kilowattHours(wh), number: true }, { name: 'trades', title: t('trades_count'), number: true }]} />
    <h3>${t('book')}</h3><${Table} name="book" t=${t} rows=${(offers?.quotes ?? []).map((one) => ({ ...one, key: one.interval_start }))} columns=${bookColumns} /></section>`;
}

function Halt({ zone, halted, done }) {
  const [said, setSaid] = useState('');
  const submit = async (event) => {
    event.preventDefault();
    const reason = new FormData(event.currentTarget).get('reason');
    try {
      await (halted ? skill('resume_market', { zone }, crypto.randomUUID()) : skill('halt_market', { zone, reason }, crypto.randomUUID()));
      setSaid('');
      done();
    } catch (error) { setSaid(error.message); }
  };
  return html`<form class="row fields" onSubmit=${submit}>${!halted && html`<label>${t('reason')}<input name="reason" required minlength="3" maxlength="200" /></label>`}
    <button>${halted ? t('resume') : t('halt')}</button></form><${Fault} text=${said} />`;
}

// The fleet.

async function states(sites, may) {
  const found = [];
  const waiting = [...sites];
  const worker = async () => {
    for (let site = waiting.shift(); site; site = waiting.shift()) {
      const name = `${site.agent}_status`;
      let status = {};
      if (may.has(name)) { try { status = await skill(name, { site: site.id }); } catch (error) { status = { fault: error.message }; } }
      found.push({ key: site.id, site: site.id, agent: site.agent, feeder: site.feeder, latitude: site.latitude, longitude: site.longitude, online: status.online ?? null, heard_at: status.heard_at ?? null, software: status.software ?? null, alarms: status.alarms ?? null, alarms_at: status.alarms_at ?? null,
        connection_w: (status.points ?? []).find((one) => one.point === 'meter/active_power_w')?.value ?? null, import_limit_w: status.import_limit_w ?? null, export_limit_w: status.export_limit_w ?? null, fault: status.fault ?? null });
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, worker));
  return found.sort((one, other) => (one.online === false ? 0 : 1) - (other.online === false ? 0 : 1) || one.site.localeCompare(other.site));
}

function Fleet({ sites, may }) {
  const [wanted, setWanted] = useState('');
  const shown = sites.filter((one) => one.id.includes(wanted.trim())).slice(0, PAGE);
  const [found, fault] = useAnswer(() => states(shown, may), FLEET_MS, [shown.map((one) => one.id).join()]);
  const rows = found ?? [];
  const online = rows.filter((one) => one.online).length;
  return html`<section><h2>${t('fleet')}</h2><${Fault} text=${fault} />
    <div class="row fields"><label>${t('find')}<input type="search" value=${wanted} onInput=${(event) => setWanted(event.currentTarget.value)} /></label>
      <span>${number(online)} ${t('of')} ${number(rows.length)} ${t('online')}${shown.length < sites.length ? `, ${number(sites.length)} ${t('sites')}` : ''}</span></div>
    <${Map} rows=${rows} choose=${setWanted} />
    <${Table} name="fleet" t=${t} rows=${rows} columns=${[
      { name: 'site', title: t('site') }, { name: 'agent', title: t('agent') }, { name: 'feeder', title: t('feeder') },
      { name: 'online', title: t('state'), show: (is, row) => (row.fault ? html`<span class="bad">${row.fault}</span>` : is == null ? t('never_heard') : html`<span class=${is ? 'good' : 'bad'}>${is ? t('online') : t('offline')}</span>`) },
      { name: 'heard_at', title: t('last_seen'), show: instant }, { name: 'software', title: t('version') }, { name: 'alarms', title: t('alarms'), show: alarmTexts },
      { name: 'connection_w', title: t('power'), show: (powerW) => kilowatts(powerW), number: true },
      { name: 'import_limit_w', title: t('import_limit'), show: (powerW) => kilowatts(powerW), number: true }, { name: 'export_limit_w', title: t('export_limit'), show: (powerW) => kilowatts(powerW), number: true }]} /></section>`;
}

// Money.

function Claims({ zone, may }) {
  const [answer, fault, again] = useAnswer(() => skill('market_claims', { zone }), LOOK_MS, [zone]);
  const [estimates] = useAnswer(() => skill('market_estimates', { zone }), FLEET_MS, [zone]);
  const [asked, setAsked] = useState(null);
  if (!may.has('market_claims')) return null;
  return html`<section><h2>${t('claims')}</h2><${Fault} text=${fault} />
    <${Table} name="claims" t=${t} none=${t('no_claims')} rows=${(answer?.claims ?? []).map((one) => ({ ...one, key: `${one.event} ${one.site}` }))} columns=${[
      { name: 'event', title: t('event') }, { name: 'site', title: t('site') }, { name: 'flags', title: t('flags'), show: (flags) => flags.join(', ') }, { name: 'first_start', title: t('since'), show: instant },
      { name: 'committed_wh', title: t('committed'), show: (wh) => kilowattHours(wh), number: true }, { name: 'claimed_uct', title: t('claimed'), show: euros, number: true },
      { name: 'key', title: '', action: true, show: (_, row) => (may.has('decide_claim') ? html`<button class="small" onClick=${() => setAsked(row)}>${t('decide')}</button>` : '') }]} />
    ${asked && html`<${Decide} zone=${zone} claim=${asked} done=${() => { setAsked(null); again(); }} />`}
    <h3>${t('estimates')}</h3><${Table} name="estimates" t=${t} rows=${(estimates?.settlements ?? []).map((one) => ({ ...one, key: `${one.site} ${one.start}` }))} columns=${[
      { name: 'site', title: t('site') }, { name: 'start', title: t('interval'), show: instant }, { name: 'method', title: t('kind') }, { name: 'metered_wh', title: t('metered'), show: (wh) => kilowattHours(wh), number: true },
      { name: 'imbalance_wh', title: t('imbalance'), show: (wh) => kilowattHours(wh), number: true }, { name: 'imbalance_uct', title: t('imbalance'), show: euros, number: true }, { name: 'final_at', title: t('final'), show: instant }]} /></section>`;
}

function Decide({ zone, claim, done }) {
  const [said, setSaid] = useState('');
  const decide = async (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget, event.submitter);
    try {
      await skill('decide_claim', { zone, site: claim.site, event: claim.event, approve: form.get('approve') === 'yes', by: form.get('by'), reason: form.get('reason') }, crypto.randomUUID());
      done();
    } catch (error) { setSaid(error.message); }
  };
  return html`<form class="row fields" onSubmit=${decide}><strong>${claim.site}, ${claim.event}</strong><label>${t('by')}<input name="by" required maxlength="80" /></label>
    <label>${t('reason')}<input name="reason" required minlength="3" maxlength="200" /></label>
    <button name="approve" value="yes">${t('pay')}</button><button name="approve" value="no">${t('do_not_pay')}</button></form><${Fault} text=${said} />`;
}

function Statements({ sites, may }) {
  const asked = sites.filter((one) => may.has(`${one.agent}_statement`));
  const [site, setSite] = useState(asked[0]?.id ?? '');
  const agent = asked.find((one) => one.id === site)?.agent;
  const [answer, fault] = useAnswer(() => (agent ? skill(`${agent}_statement`, { site, days: 7 }) : Promise.resolve(null)), FLEET_MS, [site]);
  if (!asked.length) return null;
  const uct = (name, title) => ({ name, title, show: euros, number: true });
  return html`<section><h2>${t('statements')}</h2><${Fault} text=${fault} />
    <div class="row fields"><label>${t('site')}<select value=${site} onChange=${(event) => setSite(event.currentTarget.value)}>${asked.map((one) => html`<option key=${one.id} value=${one.id}>${one.id}</option>`)}</select></label>
      <span>${t('sum')} <strong>${euros(answer?.total_uct)}</strong></span></div>
    <${Table} name=${`statement ${site}`} t=${t} rows=${(answer?.lines ?? []).map((one) => ({ ...one, key: one.interval_start }))} columns=${[
      { name: 'interval_start', title: t('interval'), show: instant }, { name: 'metered_wh', title: t('metered'), show: (wh) => kilowattHours(wh), number: true }, { name: 'traded_wh', title: t('traded'), show: (wh) => kilowattHours(wh), number: true },
      { name: 'imbalance_wh', title: t('imbalance'), show: (wh) => kilowattHours(wh), number: true }, uct('trades_uct', t('trades_money')), uct('imbalance_uct', t('imbalance')), uct('fees_uct', t('fees')), uct('demand_response_uct', t('events')),
      { name: 'estimated', title: t('estimated'), show: (is) => (is ? t('yes') : t('no')) }]} /></section>`;
}

function Health({ zone, may }) {
  const [answer, fault] = useAnswer(() => skill('market_health', { zone }), FLEET_MS, [zone]);
  if (!may.has('market_health')) return null;
  const rows = Object.entries(answer ?? {}).filter(([, value]) => typeof value !== 'object').map(([name, value]) => ({ key: name, figure: name.replaceAll('_', ' '), value: name === 'at' ? instant(value) : `${value}` }));
  return html`<section><h2>${t('health')}</h2><${Fault} text=${fault} />
    ${answer && html`<p class=${answer.sound ? 'good' : 'bad'}>${answer.sound ? t('sound') : t('not_sound')}</p><details><summary>${t('figures')}</summary>
    <${Table} name="health" t=${t} rows=${rows} columns=${[{ name: 'figure', title: t('kind') }, { name: 'value', title: t('value'), number: true }]} /></details>`}</section>`;
}

document.documentElement.lang = language;
await readWords();
document.getElementById('before')?.remove();
render(html`<${App} />`, document.body);
