// The gateways of a fleet: which there are, their jobs and settings, an update or a wish for one.
import { Act, FLEET_MS, Fault, LOOK_MS, alarmTexts, instant, language, skill, t, useAnswer, yesNo } from '/asking.js';
import { html, useState } from '/parts/parts.js';
import { Table } from '/tables.js';

const SOON_MS = 30 * 24 * 3600 * 1000;

export function Gateways({ may }) {
  const [answer, fault] = useAnswer(() => (may.has('fleet_gateways') ? skill('fleet_gateways', {}) : Promise.resolve(null)), FLEET_MS, []);
  const [shown, setShown] = useState('');
  if (!may.has('fleet_gateways')) return null;
  return html`<section><h2>${t('gateways')}</h2><${Fault} text=${fault} />
    <${Table} name="gateways" t=${t} rows=${(answer?.gateways ?? []).map((one) => ({ ...one, key: one.gateway }))} columns=${[
      { name: 'gateway', title: t('gateway') }, { name: 'zone', title: t('zone') }, { name: 'serial', title: t('serial') }, { name: 'online', title: t('online'), show: yesNo },
      { name: 'heard_at', title: t('last_seen'), show: instant }, { name: 'software', title: t('version') }, { name: 'alarms', title: t('alarms'), show: alarmTexts }, { name: 'event', title: t('event') }, { name: 'event_at', title: t('since'), show: instant },
      { name: 'certificate_until', title: t('certificate'), show: (at) => html`<span class=${at != null && at - Date.now() < SOON_MS ? 'warn' : ''}>${at == null ? '' : new Date(at).toLocaleDateString(language)}</span>` },
      { name: 'key', title: '', action: true, show: (name) => html`<button class="small" aria-label=${`${t('jobs')} ${name}`} onClick=${() => setShown(shown === name ? '' : name)}>${t('jobs')}</button>` }]} />
    ${shown && html`<${Gateway} key=${shown} name=${shown} may=${may} />`}</section>`;
}

function Gateway({ name, may }) {
  const [answer, fault, again] = useAnswer(() => skill('fleet_gateway', { gateway: name }), LOOK_MS, [name]);
  const wish = async (form) => {
    const sent = await skill('fleet_set', { gateway: name, shadow: form.get('shadow'), wish: JSON.parse(form.get('wish')) }, crypto.randomUUID());
    return `${t('sent')}: ${t('version')} ${sent.version}`;
  };
  const update = async (form) => {
    const made = await skill('fleet_update', { gateway: name, document: JSON.parse(await form.get('document').text()) }, crypto.randomUUID());
    return `${made.job}: ${made.state}`;
  };
  return html`<h3>${name}</h3><${Fault} text=${fault} />
    <${Table} name=${`jobs ${name}`} t=${t} none=${t('no_jobs')} rows=${(answer?.jobs ?? []).map((one) => ({ ...one, key: one.id }))} columns=${[{ name: 'id', title: t('job') }, { name: 'state', title: t('state') }, { name: 'details', title: t('said') }]} />
    <h3>${t('settings')}</h3><${Table} name=${`settings ${name}`} t=${t} rows=${(answer?.settings ?? []).map((one) => ({ ...one, key: one.shadow }))} columns=${[
      { name: 'shadow', title: t('kind') }, { name: 'version', title: t('version'), number: true }, { name: 'desired', title: t('wished') }, { name: 'reported', title: t('said') }]} />
    ${may.has('fleet_set') && html`<${Act} title=${t('settings')} send=${wish} done=${again}><label>${t('kind')}<select name="shadow"><option value="config">config</option><option value="limits">limits</option></select></label>
      <label>JSON<input name="wish" required size="40" placeholder='{"telemetry": {"period_s": 30}}' /></label><button>${t('send')}</button><//>`}
    ${may.has('fleet_update') && html`<${Act} title=${t('update')} send=${update} done=${again}><label>sitewatt fleet sign<input name="document" type="file" accept="application/json,.json" required /></label><button>${t('send')}</button><//>`}`;
}
