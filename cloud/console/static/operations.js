// The running of the cloud: what it set aside, what models proposed, who called what.
import { Act, FLEET_MS, Fault, Reason, instant, skill, t, useAnswer, yesNo } from '/asking.js';
import { html, useState } from '/parts/parts.js';
import { Table } from '/tables.js';

const CALLS = 100;

const answered = (may, name, question) => (may.has(name) ? skill(name, question) : Promise.resolve(null));

export function SetAside({ may }) {
  const [answer, fault, again] = useAnswer(() => answered(may, 'set_aside', {}), FLEET_MS, []);
  const [shown, setShown] = useState(null);
  if (!may.has('set_aside')) return null;
  const over = () => { setShown(null); again(); };
  const show = async (id) => setShown(shown?.record.id === id ? null : await skill('set_aside_record', { record: id }));
  return html`<section><h2>${t('set_aside')}</h2><${Fault} text=${fault} />
    <${Table} name="set-aside" t=${t} none=${t('none_set_aside')} rows=${(answer?.records ?? []).map((one) => ({ ...one, key: one.id }))} columns=${[
      { name: 'id', title: t('record') }, { name: 'handler', title: t('function') }, { name: 'arrived_at', title: t('since'), show: instant }, { name: 'partition_key', title: t('of_whom') }, { name: 'error', title: t('said') },
      { name: 'key', title: '', action: true, show: (id) => html`<button class="small" aria-label=${`${t('show')} ${id}`} onClick=${() => show(id)}>${t('show')}</button>` }]} />
    ${shown && html`<${Kept} key=${shown.record.id} shown=${shown} may=${may} over=${over} />`}</section>`;
}

function Kept({ shown, may, over }) {
  const { record, data } = shown;
  const replay = (form) => skill('replay_record', { record: record.id, ...(form.get('data') === data ? {} : { data: form.get('data') }), reason: form.get('reason') }, crypto.randomUUID());
  const drop = (form) => skill('drop_record', { record: record.id, reason: form.get('reason') }, crypto.randomUUID());
  return html`<h3>${record.id}</h3>
    ${may.has('replay_record') ? html`<${Act} title=${t('replay')} send=${replay} done=${over}><label>${t('data')}<textarea name="data" rows="6" cols="70">${data}</textarea></label><${Reason} /><button>${t('replay')}</button><//>
    <${Act} title=${t('drop')} send=${drop} done=${over}><${Reason} /><button>${t('drop')}</button><//>` : html`<pre class="scroll" tabindex="0">${data}</pre>`}`;
}

export function Proposals({ may }) {
  const [answer, fault, again] = useAnswer(() => answered(may, 'agent_proposals', {}), FLEET_MS, []);
  const [asked, setAsked] = useState(null);
  if (!may.has('agent_proposals')) return null;
  const decide = async (form) => {
    const accept = form.get('accept') === 'yes';
    // The key is the proposal's own: done twice it has one effect.
    if (accept && asked.acts) await skill(asked.skill, JSON.parse(asked.question), asked.act_key);
    await skill('decide_proposal', { proposal: asked.id, accept, by: form.get('by'), reason: form.get('reason') }, crypto.randomUUID());
  };
  return html`<section><h2>${t('proposals')}</h2><${Fault} text=${fault} />
    <${Table} name="proposals" t=${t} none=${t('no_proposals')} rows=${(answer?.proposals ?? []).map((one) => ({ ...one, act_key: one.key, key: one.id }))} columns=${[
      { name: 'at', title: t('since'), show: instant }, { name: 'asked_by', title: t('by') }, { name: 'asked', title: t('asked') }, { name: 'skill', title: t('proposed') }, { name: 'question', title: t('with') },
      { name: 'would_hold', title: t('would_hold'), show: yesNo }, { name: 'verdict', title: t('verdict') }, { name: 'state', title: t('state'), show: (state) => t(state) }, { name: 'reason', title: t('reason') },
      { name: 'key', title: '', action: true, show: (_, row) => (row.state === 'waiting' && may.has('decide_proposal') ? html`<button class="small" onClick=${() => setAsked(row)}>${t('decide')}</button>` : '') }]} />
    ${asked && html`<${Act} key=${asked.id} title=${asked.skill} send=${decide} done=${() => { setAsked(null); again(); }}><${Reason} by />
      <button name="accept" value="yes">${asked.acts ? t('accept_and_do') : t('accept')}</button><button name="accept" value="no">${t('refuse')}</button><//>`}</section>`;
}

export function Audit({ may }) {
  const [found, setFound] = useState({ calls: [], question: null, before: null, day: '' });
  if (!may.has('audit_log')) return null;
  // Asked for and not followed: each look is a call, and would stand in the log itself.
  const look = async (question, calls) => {
    const answer = await skill('audit_log', question);
    setFound({ calls: [...calls, ...answer.calls], question, before: answer.before, day: answer.day });
    return `${answer.day}: ${calls.length + answer.calls.length}${answer.before ? '+' : ''}`;
  };
  const choose = (form) => look({ count: CALLS, ...Object.fromEntries([...form].filter(([, value]) => value)) }, []);
  return html`<section><h2>${t('audit')}</h2>
    <${Act} title="" keep send=${choose}><label>${t('day')}<input type="date" name="day" /></label><label>${t('kind')}<select name="effect"><option value="acts">${t('acts')}</option><option value="proposes">${t('proposes')}</option><option value="reads">${t('reads')}</option><option value="">${t('all')}</option></select></label>
      <label>${t('skill')}<input name="skill" maxlength="64" /></label><label>${t('by')}<input name="caller" maxlength="80" /></label><button>${t('show')}</button><//>
    <${Table} name=${`audit ${found.day}`} t=${t} rows=${found.calls} columns=${[
      { name: 'at', title: t('since'), show: instant }, { name: 'caller', title: t('by') }, { name: 'role', title: t('role') }, { name: 'door', title: t('door') }, { name: 'skill', title: t('skill') }, { name: 'effect', title: t('kind'), show: (effect) => t(effect) },
      { name: 'question', title: t('asked') }, { name: 'count', title: t('how_often'), number: true }, { name: 'refused', title: t('refused_why') }]} />
    ${found.before && html`<${Act} title="" send=${() => look({ ...found.question, before: found.before }, found.calls)}><button>${t('earlier')}</button><//>`}</section>`;
}
