// Ask the doors for what the console shows: every answer is a skill's, with the rights of the caller's token.
import { NOTHING, html, useEffect, useState } from '/parts/parts.js';

export const LOOK_MS = 5000;
export const FLEET_MS = 20_000;
export const PAGE = 200;
export const TOKEN = 'sitewatt token';

export const language = navigator.language.startsWith('de') ? 'de' : 'en';
let words = {};
export const t = (name) => words[name] ?? name;

/** Load the catalogue of the reader's language. */
export async function readWords() {
  words = await (await fetch(`/words/${language}.json`)).json();
}

export const instant = (ms) => (ms == null ? NOTHING : new Date(ms).toLocaleString(language, { day: '2-digit', month: '2-digit', hour: '2-digit', minute: '2-digit' }));

/** Ask the doors; what they refuse is an error with their sentence. */
export async function ask(path, { question, key } = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const answer = await fetch(path, {
    method: question ? 'POST' : 'GET', cache: 'no-store', signal: AbortSignal.timeout(15_000),
    headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...(question ? { 'Content-Type': 'application/json' } : {}), ...(key ? { 'Idempotency-Key': key } : {}) },
    body: question ? JSON.stringify(question) : undefined,
  });
  const told = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.detail ?? told.title), { status: answer.status });
  return told;
}

export const skill = (name, question, key) => ask(`/v1/skills/${name}`, { question, key });

export async function listed(name) {
  const items = [];
  for (let cursor = '0'; cursor !== null;) {
    const page = await ask(`/v1/${name}?limit=${PAGE}&cursor=${cursor}`);
    items.push(...page.items);
    cursor = page.next;
  }
  return items;
}

const AGAIN_MS = 5000;

/** Follow a live stream with the caller's token, for ever; `take(kind, data)` gets each event. Returns what ends it. */
export function stream(path, take) {
  const ended = new AbortController();
  const run = async () => {
    const token = sessionStorage.getItem(TOKEN);
    const answer = await fetch(path, { cache: 'no-store', signal: ended.signal, headers: token ? { Authorization: `Bearer ${token}` } : {} });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (let part = await reader.read(); answer.ok && !part.done; part = await reader.read()) {
      const blocks = (text + part.value).split('\n\n');
      text = blocks.pop();
      for (const block of blocks) {
        const field = Object.fromEntries(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
        if (field.data) take(field.event, JSON.parse(field.data));
      }
    }
  };
  const again = () => run().catch(() => {}).finally(() => { if (!ended.signal.aborted) setTimeout(again, AGAIN_MS); });
  again();
  return () => ended.abort();
}

/** Ask again and again while the page shows it; the last answer stays where none comes, and the fault is told. */
export function useAnswer(question, everyMs, keys) {
  const [found, setFound] = useState({ answer: null, fault: '' });
  const [again, setAgain] = useState(0);
  useEffect(() => {
    let over = false;
    let timer = null;
    const look = async () => {
      try { const answer = await question(); if (!over) setFound({ answer, fault: '' }); } catch (error) { if (!over) setFound((before) => ({ ...before, fault: error.message })); }
      if (!over) timer = setTimeout(look, everyMs);
    };
    look();
    return () => { over = true; clearTimeout(timer); };
  }, [...keys, again]);
  return [found.answer, found.fault, () => setAgain((count) => count + 1)];
}

export const Fault = ({ text }) => (text ? html`<p class="bad" role="alert">${text}</p>` : null);


/** A form that does something: `send(form data, submitter)` calls a skill; a refusal is shown, `done()` follows success, and unless `keep` the fields are emptied. */
export function Act({ title, send, done, keep, children }) {
  const [said, setSaid] = useState({ fault: '', told: '' });
  const submit = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    try {
      const told = await send(new FormData(form, event.submitter));
      setSaid({ fault: '', told: typeof told === 'string' ? told : t('done') });
      if (!keep) form.reset();
      done?.();
    } catch (error) { setSaid({ fault: error.message, told: '' }); }
  };
  return html`<form class="row fields" onSubmit=${submit} aria-label=${title}>${title && html`<strong>${title}</strong>`}${children}</form>
    <${Fault} text=${said.fault} />${said.told && html`<p class="good" role="status">${said.told}</p>`}`;
}

/** What every act needs from the person: a reason, and, where it is kept beside it, a name. */
export const Reason = ({ by }) => html`${by && html`<label>${t('by')}<input name="by" required maxlength="80" /></label>`}<label>${t('reason')}<input name="reason" required minlength="3" maxlength="200" /></label>`;

/** Show a gateway's alarms; `null` is one that never told any. */
export const alarmTexts = (texts, row) => (texts == null ? '' : texts.length === 0 ? t('no_alarms') : html`<span class="bad" title=${instant(row.alarms_at)}>${texts.join('; ')}</span>`);

export const yesNo = (is) => (is == null ? '' : is ? t('yes') : t('no'));
