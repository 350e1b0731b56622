// The demonstration's page: the neighbourhood as it happens, and how it ended.
import {
  Chart, NOTHING, centsPerKwh, clockTime, euros, follow, html, kilowattHours, kilowatts, number, render, useEffect,
  useState,
} from '/parts/parts.js';

const COLOURS = ['--pv', '--house', '--battery', '--grid', '--good', '--warn', '--bad'];
const DIRECTIONS = { in: 'from the grid', out: 'to the grid' };

function App() {
  const [state, setState] = useState(null);
  const [course, setCourse] = useState({ at: [], feeder: [], sites: {} });
  const [lost, setLost] = useState(false);
  useEffect(() => {
    const kept = { at: [], feeder: [], sites: {} };
    const url = () => `/state.json?since=${kept.at.length}`;
    return follow(url, 1000, (answer) => { extend(kept, answer.course); setCourse({ ...kept }); setState(answer); }, setLost);
  }, []);
  if (!state) return html`<p class="muted">${lost ? 'The demonstration does not answer.' : 'The page is loading.'}</p>`;
  const ended = state.stage === 'ended';
  return html`
    <${Top} state=${state} lost=${lost && !ended} />
    <main>
      ${ended && html`<${Verdict} report=${state.report} />`}
      ${state.feeder ? html`
        <${Feeder} feeder=${state.feeder} course=${course} offsetS=${state.utc_offset_s} />
        <${Sites} sites=${state.sites} />
        <${Prices} intervals=${state.intervals} offsetS=${state.utc_offset_s} />
        <${News} news=${state.news} />
        <${Powers} course=${course} offsetS=${state.utc_offset_s} />`
      : html`<section><h2>Starting</h2><p>${state.said || 'The first processes start.'}</p></section>`}
    </main>`;
}

function extend(kept, course) {
  if (course.first !== kept.at.length) return;
  kept.at = kept.at.concat(course.at_ms.map((at) => at / 1000));
  kept.feeder = kept.feeder.concat(course.feeder_w.map(toKw));
  kept.sites = Object.fromEntries(Object.entries(course.sites_w)
    .map(([name, values]) => [name, (kept.sites[name] || []).concat(values.map(toKw))]));
}

const toKw = (powerW) => (powerW == null ? null : powerW / 1000);

function Top({ state, lost }) {
  return html`<header class="top">
    <h1>A neighbourhood on this machine</h1>
    ${state.at && html`<span class="number">${state.at.slice(0, 10)} ${clockTime(state.at, { seconds: true })} local time</span>`}
    ${state.speed && html`<span class="muted">${number(state.speed)} times as fast as real time, ${state.week} week</span>`}
    <span class="badge ${lost ? 'bad' : ''}">${lost ? 'no answer from the demonstration' : state.stage}</span>
    ${state.messages != null && html`<span class="muted small">${number(state.messages)} messages on the broker</span>`}
    ${['starting', 'draining'].includes(state.stage) && state.said && html`<span class="muted small" role="status">${state.said}</span>`}
  </header>`;
}

function Feeder({ feeder, course, offsetS }) {
  const share = feeder.power_w == null ? 0 : Math.abs(feeder.power_w) / feeder.limit_w;
  const kind = share > 1 ? 'bad' : share > 0.9 ? 'warn' : '';
  const limit = course.at.map(() => feeder.limit_w / 1000);
  const series = [
    { label: 'through the transformer', colour: '--grid', fill: '--grid-fill', values: course.feeder },
    { label: 'its limit', colour: '--bad', dash: [6, 4], values: limit },
  ];
  return html`<section>
    <h2>The transformer that all share</h2>
    <p><span class="big">${kilowatts(feeder.power_w, { unsigned: true, digits: 0 })}</span>
      <span> ${feeder.power_w == null ? 'no measurement yet' : `${direction(feeder.power_w)}, limit ${kilowatts(feeder.limit_w, { digits: 0 })}`} </span>
      <span class="badge ${feeder.state === 'normal' ? 'good' : 'warn'}">${feeder.state}</span>
      ${feeder.event && html` <span class="warn">demand-response event ${feeder.event}</span>`}
      ${feeder.disturbances.map((one) => html` <span class="bad">${one.replaceAll('_', ' ')}</span>`)}</p>
    <div class="bar ${kind}" role="meter" aria-label="loading of the transformer" aria-valuemin="0" aria-valuemax="100"
      aria-valuenow=${Math.min(100, Math.round(share * 100))}><i style=${{ width: `${Math.min(100, share * 100)}%` }}></i></div>
    <${Chart} title="Power through the transformer against its limit" times=${course.at} series=${series} unit="kW" offsetS=${offsetS} />
  </section>`;
}

const direction = (powerW) => (powerW >= 0 ? DIRECTIONS.in : DIRECTIONS.out);

function Sites({ sites }) {
  return html`<section>
    <h2>Sites</h2>
    <div class="scroll" tabindex="0"><table>
      <thead><tr><th>site</th><th>agent</th><th class="number">connection</th><th class="number">PV</th><th class="number">battery</th>
        <th class="number">charged</th><th class="number">orders</th><th class="number">traded</th><th class="number">settled so far</th><th>command</th></tr></thead>
      <tbody>${sites.map((site) => html`<tr key=${site.id}>
        <td>${site.id} ${!site.online && html`<span class="bad small">offline</span>`}</td>
        <td>${site.agent}</td>
        <td class="number">${flow(site.connection_w, 'import', 'export')}</td>
        <td class="number">${site.pv_w == null ? NOTHING : kilowatts(Math.max(0, -site.pv_w))}</td>
        <td class="number">${flow(site.battery_w, 'charging', 'giving')}</td>
        <td class="number">${site.soc_percent == null ? NOTHING : `${number(site.soc_percent)} %`}</td>
        <td class="number">${number(site.orders)}</td>
        <td class="number">${kilowattHours(site.traded_wh)}</td>
        <td class="number">${site.earned_uct == null ? NOTHING : html`<span class=${site.earned_uct >= 0 ? 'good' : ''}>${site.earned_uct >= 0 ? 'gets' : 'pays'} ${euros(Math.abs(site.earned_uct))}</span>`}</td>
        <td>${site.command && html`<span class="warn">${site.command.replaceAll('_', ' ')}</span>`}</td>
      </tr>`)}</tbody>
    </table></div>
  </section>`;
}

function flow(powerW, positive, negative) {
  if (powerW == null) return NOTHING;
  return Math.abs(powerW) < 50 ? kilowatts(0) : `${powerW > 0 ? positive : negative} ${kilowatts(powerW, { unsigned: true })}`;
}

function Prices({ intervals, offsetS }) {
  const times = intervals.map((one) => one.start_ms / 1000);
  const prices = intervals.map((one) => (one.price_mct_per_kwh == null ? null : one.price_mct_per_kwh / 1000));
  return html`<section class="half">
    <h2>The market, quarter hour by quarter hour</h2>
    <${Chart} title="Market price of each delivery interval" times=${times} unit="ct" offsetS=${offsetS} height=${160}
      series=${[{ label: 'price', colour: '--pv', fill: '--pv-fill', steps: true, values: prices }]} />
    <div class="scroll" tabindex="0"><table>
      <thead><tr><th>from</th><th>state</th><th class="number">price</th><th class="number">volume</th><th class="number">trades</th></tr></thead>
      <tbody>${intervals.slice(-6).map((one) => html`<tr key=${one.start}><td>${clockTime(one.start)}</td><td>${one.state}</td>
        <td class="number">${centsPerKwh(one.price_mct_per_kwh)}</td><td class="number">${kilowattHours(one.volume_wh)}</td>
        <td class="number">${number(one.trades)}</td></tr>`)}</tbody>
    </table></div>
  </section>`;
}

function News({ news }) {
  return html`<section class="half"><h2>What happens</h2>
    ${news.length ? html`<ul class="plain" aria-live="polite">${[...news].reverse().map((one) => html`<li key=${one.at + one.text}>
      <span class="muted number">${clockTime(one.at, { seconds: true })}</span> ${one.text}${one.count > 1 && html` <span class="muted">(${one.count} times)</span>`}</li>`)}</ul>`
    : html`<p class="muted">Nothing yet.</p>`}
  </section>`;
}

function Powers({ course, offsetS }) {
  const names = Object.keys(course.sites);
  if (!names.length) return null;
  const series = names.map((name, index) => ({ label: name, colour: COLOURS[index % COLOURS.length], values: course.sites[name], dash: index < COLOURS.length ? undefined : [4, 3] }));
  return html`<section><h2>Power at each connection, positive from the grid</h2>
    <${Chart} title="Power at each site's connection" times=${course.at} series=${series} unit="kW" offsetS=${offsetS} height=${260} /></section>`;
}

function Verdict({ report }) {
  if (!report) return html`<section><h2>Ended early</h2><p>The demonstration was ended before its report.</p></section>`;
  const checks = Object.entries(report.checks);
  return html`<section><h2>How it ended</h2><ul class="plain">
    ${checks.map(([name, held]) => html`<li key=${name}><span class=${held ? 'good' : 'bad'}>${held ? 'passed' : 'FAILED'}</span> ${name}</li>`)}
    ${!report.kept_up && html`<li class="warn">This machine did not keep up: some messages still waited, none was lost by that.</li>`}
    ${report.goals.map((one) => html`<li key=${one.site + one.device} class=${one.met === false ? 'bad' : ''}>${one.told}</li>`)}
  </ul><${Earned} sites=${report.earnings} agents=${report.by_agent} /></section>`;
}

function Earned({ sites, agents }) {
  if (!sites.length) return null;
  const row = (name, one) => html`<tr key=${name + one.agent}><td>${name}</td><td>${one.agent}</td>
    ${[one.paid_uct - one.event_uct, one.event_uct, one.without_market_uct, one.without_plan_uct, one.without_battery_uct, one.perfect_uct]
    .map((owed) => html`<td class="number">${owed == null ? NOTHING : `${owed > 0 ? 'pays' : 'gets'} ${euros(Math.abs(owed))}`}</td>`)}</tr>`;
  return html`<h3>What each site got</h3><div class="scroll" tabindex="0"><table>
    <thead><tr><th>site</th><th>agent</th><th class="number">energy</th><th class="number">event</th><th class="number">no market</th>
      <th class="number">nor a plan</th><th class="number">nor a battery</th><th class="number">perfect foresight</th></tr></thead>
    <tbody>${sites.map((one) => row(one.site, one))}${agents.map((one) => row(`all ${one.sites}`, one))}</tbody>
  </table></div>`;
}

document.getElementById('before')?.remove();
render(html`<${App} />`, document.body);
