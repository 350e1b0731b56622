// The first set-up in a browser: what was said and answered, and the question that is open.
import { html, render, useEffect, useRef, useState } from '/parts/parts.js';

const LOOK_MS = 200;

async function post(path, content, token) {
  const headers = { 'Content-Type': 'application/json', ...(token ? { 'X-Sitewatt-Token': token } : {}) };
  const answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify(content) });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error.message);
  return told;
}

function App() {
  const [token, setToken] = useState(undefined);
  const look = async () => setToken((await (await fetch('/session.json', { cache: 'no-store' })).json()).token);
  useEffect(() => { look(); }, []);
  return html`<header class="top"><h1>Set up a gateway</h1></header>
    <main>${token === undefined ? null : token ? html`<${Dialogue} token=${token} left=${look} />` : html`<${Enter} done=${setToken} />`}</main>`;
}

function Enter({ done }) {
  const [fault, setFault] = useState('');
  const enter = async (event) => {
    event.preventDefault();
    const code = new FormData(event.currentTarget).get('code');
    try { done((await post('/enter', { code })).token); } catch (error) { setFault(error.message); }
  };
  return html`<section><h2>Who is there?</h2><form onSubmit=${enter} class="row fields">
    <label>code at the terminal<input name="code" required autocomplete="one-time-code" autofocus /></label><button>Begin</button></form>
    ${fault && html`<p class="bad" role="alert">${fault}</p>`}</section>`;
}

function Dialogue({ token, left }) {
  const [lines, setLines] = useState([]);
  const [now, setNow] = useState({ question: null, end: null });
  const [fault, setFault] = useState('');
  useEffect(() => {
    let stopped = false;
    let count = 0;
    const again = async () => {
      try {
        const answer = await fetch(`/setup.json?after=${count}`, { cache: 'no-store', signal: AbortSignal.timeout(10_000) });
        if (answer.status === 403) { left(); return; }
        const told = await answer.json();
        count = told.count;
        if (stopped) return;
        if (told.lines.length) setLines((before) => [...before, ...told.lines]);
        setNow((before) => (before.question?.number === told.question?.number && !told.end ? before : told));
        setFault('');
        if (told.end) return;
      } catch { if (!stopped) setFault('The gateway does not answer.'); }
      if (!stopped) setTimeout(again, LOOK_MS);
    };
    again();
    return () => { stopped = true; };
  }, []);
  const answer = async (number, text) => {
    try {
      await post('/answer', { number, answer: text }, token);
      setNow((before) => (before.question?.number === number ? { question: null, end: null } : before));
    } catch (error) { setFault(error.message); }
  };
  return html`<section class="half"><h2>${now.end ? 'Done' : now.question ? 'Question' : 'One moment'}</h2>
      ${now.end && html`<p class=${now.end.failed ? 'bad' : 'good'} role="status">${now.end.said}</p>`}
      ${now.question && html`<${Question} key=${now.question.number} question=${now.question} answer=${answer} />`}
      ${!now.end && !now.question && html`<p class="muted">The gateway is looking.</p>`}
      ${fault && html`<p class="bad" role="alert">${fault}</p>`}</section>
    <section class="half"><h2>So far</h2><div class="said scroll" tabindex="0" role="log" aria-label="So far">
      <ul class="plain">${lines.map((line, index) => html`<li key=${index}>${line.text}${line.answer != null && html`: <strong>${line.answer || 'none'}</strong>`}</li>`)}</ul></div></section>`;
}

function Question({ question, answer }) {
  const field = useRef(null);
  useEffect(() => { field.current?.focus(); field.current?.select?.(); }, []);
  const send = (event) => { event.preventDefault(); answer(question.number, field.current.value); };
  const first = (option) => (option === question.default ? field : null);
  return html`${question.complaint && html`<p class="bad" role="alert">${question.complaint}</p>`}
    ${question.kind === 'text' ? html`<form onSubmit=${send} class="fields"><label>${question.text}
        <input ref=${field} defaultValue=${question.default} autocomplete="off" /></label><p><button>Next</button></p></form>`
    : html`<p id="asked">${question.text}</p><div class="row" role="group" aria-labelledby="asked">${question.options.map((option) => html`<button key=${option}
        ref=${first(option)} aria-pressed=${option === question.default} onClick=${() => answer(question.number, option)}>${option}</button>`)}</div>`}`;
}

document.getElementById('before')?.remove();
render(html`<${App} />`, document.body);
