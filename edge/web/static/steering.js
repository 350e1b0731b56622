// Signing in at the gateway's page, and what somebody who has may ask of the site.
import { html, number, useEffect, useState } from '/parts/parts.js';

const HOURS = [1, 2, 4, 8];
const MODES = ['auto', 'self_consumption', 'hold'];

async function ask(path, content, token) {
  const headers = { 'Content-Type': 'application/json', ...(token ? { 'X-Sitewatt-Token': token } : {}) };
  const answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify(content) });
  const told = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.error.message), { code: told.error.code });
  return told;
}

/** What may be asked here: where nobody can sign in, a way to where one can. */
export function Steering({ wish, commands, locked, hasPlan, language, t }) {
  const [session, setSession] = useState(null);
  const look = async () => {
    try { setSession(await (await fetch('/session.json', { cache: 'no-store' })).json()); } catch { /* the header says it */ }
  };
  useEffect(() => { look(); }, []);
  if (!session || session.secure_port === null) return null;
  const secure = location.protocol === 'https:';
  return html`<section><h2>${t('steering')}</h2>
    ${wish && html`<${Wish} wish=${wish} language=${language} t=${t} />`}
    ${!secure && html`<p><a href=${`https://${location.hostname}:${session.secure_port}/`}>${t('sign_in_there')}</a></p>`}
    ${secure && !session.role && html`<${SignIn} roles=${session.roles} done=${look} t=${t} />`}
    ${secure && session.role && html`<${Actions} session=${session} done=${look} wish=${wish} commands=${commands} locked=${locked} hasPlan=${hasPlan} t=${t} />`}
  </section>`;
}

function Wish({ wish, language, t }) {
  const until = wish.until_at && new Date(wish.until_at).toLocaleString(language, { weekday: 'short', hour: '2-digit', minute: '2-digit' });
  return html`<p><strong>${t(`mode_${wish.mode}`)}</strong>${wish.by ? `, ${t('by')} ${t(`role_${wish.by}`)}` : ''}${until ? `, ${t('until')} ${until}` : ''}
    ${wish.target && html`<br />${t('target')}: ${number(wish.target.soc_percent)} % ${t('each_day_by')} ${wish.target.by.slice(0, 5)}`}</p>
    ${wish.refused && html`<p class="bad" role="status">${wish.refused}</p>`}`;
}

function SignIn({ roles, done, t }) {
  const [fault, setFault] = useState('');
  if (!roles.length) return html`<p class="muted">${t('no_password')}</p>`;
  const enter = async (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setFault('');
    try { await ask('/login', { role: form.get('role'), password: form.get('password') }); await done(); } catch (error) { setFault(error.message); }
  };
  return html`<form onSubmit=${enter} class="row fields">
    <label>${t('role')}<select name="role" autocomplete="username">${[...roles].sort().reverse().map((role) => html`<option key=${role} value=${role}>${t(`role_${role}`)}</option>`)}</select></label>
    <label>${t('password')}<input name="password" type="password" required autocomplete="current-password" /></label>
    <button>${t('sign_in')}</button></form>${fault && html`<p class="bad" role="alert">${fault}</p>`}`;
}

function Actions({ session, done, wish, commands, locked, hasPlan, t }) {
  const [said, setSaid] = useState({ text: '', bad: false });
  const [busy, setBusy] = useState(false);
  const act = async (path, content) => {
    setBusy(true);
    try { setSaid({ text: (await ask(path, content, session.token)).said ?? '', bad: false }); } catch (error) {
      setSaid({ text: error.message, bad: true });
      if (['not_signed_in', 'forged'].includes(error.code)) await done();
    }
    setBusy(false);
  };
  const leave = async () => { await act('/logout', {}); await done(); };
  const own = (commands ?? []).filter((one) => one.issuer === `page-${session.role}`);
  const submitted = (made) => (event) => { event.preventDefault(); act('/action', made(new FormData(event.currentTarget))); };
  return html`<div aria-busy=${busy}>
    <div class="row" role="group" aria-label=${t('mode')}>${MODES.map((mode) => html`<button key=${mode} disabled=${busy}
      aria-pressed=${wish?.mode === mode} onClick=${() => act('/action', { kind: 'mode', mode })}>${t(`mode_${mode}`)}</button>`)}</div>
    <form class="row fields" onSubmit=${submitted((form) => ({ kind: 'charge', hours: Number(form.get('hours')) }))}>
      <label>${t('hours')}<select name="hours">${HOURS.map((hours) => html`<option key=${hours} value=${hours}>${hours} h</option>`)}</select></label>
      <button disabled=${busy}>${t('charge_now')}</button></form>
    ${hasPlan && html`<form class="row fields" onSubmit=${submitted((form) => ({ kind: 'target', soc_percent: Number(form.get('soc')), by: form.get('by') }))}>
      <label>${t('target')}<input name="soc" type="number" min="1" max="100" defaultValue="80" required /> %</label>
      <label>${t('each_day_by')}<input name="by" type="time" defaultValue="07:00" required /></label>
      <button disabled=${busy}>${t('set_target')}</button>
      ${wish?.target && html`<button type="button" disabled=${busy} onClick=${() => act('/action', { kind: 'target', soc_percent: null })}>${t('no_target')}</button>`}</form>`}
    ${session.role === 'installer' && html`<div class="row"><button disabled=${busy} aria-pressed=${locked}
      onClick=${() => act('/action', { kind: 'lock', on: !locked })}>${locked ? t('unlock') : t('lock')}</button></div>`}
    ${own.map((one) => html`<div class="row" key=${one.command_id}><span>${one.command_id}: ${one.action.kind.replaceAll('_', ' ')}, ${one.stage}</span>
      <button disabled=${busy} onClick=${() => act('/action', { kind: 'release', command_id: one.command_id })}>${t('release')}</button></div>`)}
    ${wish?.settings && html`<${Settings} settings=${wish.settings} role=${session.role} busy=${busy} save=${(content) => act('/action', content)} t=${t} />`}
    <div class="row"><span class="muted">${t(`role_${session.role}`)}</span><button disabled=${busy} onClick=${leave}>${t('sign_out')}</button></div>
    <p role="status" class=${said.bad ? 'bad' : 'good'}>${said.text}</p></div>`;
}

/** What may be changed within the site's file; a field left open is as the file says. */
function Settings({ settings, role, busy, save, t }) {
  const { file, wished, tariffs } = settings;
  const price = (name) => (wished[name] == null ? '' : wished[name] / 1000);
  const whole = (form, name, factor = 1) => { const told = form.get(name); return told ? Math.round(Number(told) * factor) : null; };
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const may = (name) => (file[name] && form.get(name) === null ? false : null);
    save({
      kind: 'settings', idle: form.get('idle') || null, tariff: form.get('tariff') || null,
      import_tariff_mct_per_kwh: whole(form, 'import_tariff_mct_per_kwh', 1000), export_tariff_mct_per_kwh: whole(form, 'export_tariff_mct_per_kwh', 1000),
      charge_from_grid: may('charge_from_grid'), discharge_to_grid: may('discharge_to_grid'),
      import_limit_w: role === 'installer' ? whole(form, 'import_limit_w') : wished.import_limit_w ?? null,
      export_limit_w: role === 'installer' ? whole(form, 'export_limit_w') : wished.export_limit_w ?? null,
    });
  };
  const pick = (name, title, options, show, told) => html`<label>${title}<select name=${name} defaultValue=${wished[name] ?? ''}>
    <option value="" selected=${wished[name] == null}>${t('by_file')}${told ? ` (${told})` : ''}</option>
    ${options.map((one) => html`<option key=${one} value=${one} selected=${wished[name] === one}>${show(one)}</option>`)}</select></label>`;
  const figure = (name, title, value, told, step) => html`<label>${title}<input name=${name} type="number" step=${step} defaultValue=${value} placeholder=${told} /></label>`;
  const allowed = (name) => file[name] && html`<label class="row"><input name=${name} type="checkbox" defaultChecked=${wished[name] !== false} /> ${t(name)}</label>`;
  return html`<details><summary>${t('settings')}</summary><p class="muted small">${t('settings_hint')}</p>
    <form key=${JSON.stringify(wished)} onSubmit=${submit} class="row fields">
      ${pick('idle', t('idle'), ['self_consumption', 'hold'], (one) => t(`idle_${one}`), t(`idle_${file.idle}`))}
      ${pick('tariff', t('tariff'), tariffs, (one) => one, file.tariff)}
      ${figure('import_tariff_mct_per_kwh', t('import_price'), price('import_tariff_mct_per_kwh'), file.import_tariff_mct_per_kwh / 1000, 'any')}
      ${figure('export_tariff_mct_per_kwh', t('export_price'), price('export_tariff_mct_per_kwh'), file.export_tariff_mct_per_kwh / 1000, 'any')}
      ${allowed('charge_from_grid')}${allowed('discharge_to_grid')}
      ${role === 'installer' && figure('import_limit_w', t('import_limit'), wished.import_limit_w ?? '', file.import_limit_w, 1)}
      ${role === 'installer' && figure('export_limit_w', t('export_limit'), wished.export_limit_w ?? '', file.export_limit_w, 1)}
      <button disabled=${busy}>${t('save')}</button></form></details>`;
}
