// A charging station on the library ocpp-rpc, which holds every message against its own copy of the standard's schemas.
// It shares no line and no language with the gateway. It sets its clock by BootNotification, plays charging profiles by
// itself, and prints its state as JSON lines. Arguments: ENDPOINT NAME PASSWORD VERSION SPEED [CA]
'use strict';
const fs = require('fs');
const { RPCClient, createRPCError } = require(process.env.OCPP_RPC);
const [endpoint, name, password, version, speedText, ca] = process.argv.slice(2);
const speed = Number(speedText);
const old = version === '1.6';
const protocol = `ocpp${version}`;
const PHASES = 3, VOLTS = 230, MOST_A = 16, LEAST_A = 6;

let origin = { at: Date.now(), by: process.hrtime.bigint() };
const passed = () => Number(process.hrtime.bigint() - origin.by) / 1e6 * speed;
const now = () => origin.at + passed();
const stamp = () => new Date(now()).toISOString();

let profiles = [];
let transaction = null, energyWh = 5000, sampleS = 60, seq = 0, hello = 0, boots = 0;
const broken = [];

function inForce() {
  const fits = profiles.filter((p) => {
    if (p.validFrom && now() < Date.parse(p.validFrom)) return false;
    if (p.validTo && now() >= Date.parse(p.validTo)) return false;
    if (p.transactionId !== undefined && String(p.transactionId) !== String(transaction)) return false;
    const s = p.schedule;
    if (s.startSchedule && now() < Date.parse(s.startSchedule)) return false;
    return !(s.duration !== undefined && now() >= Date.parse(s.startSchedule) + 1000 * s.duration);
  });
  const order = (p) => (p.chargingProfilePurpose === 'TxProfile' ? 1000 : 0) + p.stackLevel;
  return fits.sort((a, b) => order(b) - order(a))[0];
}
function limitA() {
  const p = inForce();
  return p === undefined ? MOST_A : Math.min(MOST_A, p.schedule.chargingSchedulePeriod[0].limit);
}
const currentA = () => (transaction !== null && limitA() >= LEAST_A ? limitA() : 0);
const powerW = () => currentA() * PHASES * VOLTS;

const client = new RPCClient({
  endpoint, identity: name, password, protocols: [protocol], strictMode: [protocol],
  reconnect: true, maxReconnects: Infinity, backoff: { initialDelay: 200, maxDelay: 1000 },
  wsOpts: ca ? { ca: fs.readFileSync(ca) } : {},
});
client.on('strictValidationFailure', (event) => broken.push(String(event.error)));
client.on('badMessage', (event) => broken.push(`bad message ${event}`));
client.on('disconnect', () => { hello += 1; });

client.handle('SetChargingProfile', ({ params }) => {
  const p = old ? params.csChargingProfiles : params.chargingProfile;
  const kept = { ...p, schedule: old ? p.chargingSchedule : p.chargingSchedule[0] };
  const id = (q) => (old ? q.chargingProfileId : q.id);
  profiles = profiles.filter((q) => id(q) !== id(kept));
  profiles.push(kept);
  return { status: 'Accepted' };
});
client.handle('GetCompositeSchedule', ({ params }) => {
  const schedule = { chargingRateUnit: 'A', chargingSchedulePeriod: [{ startPeriod: 0, limit: limitA() }] };
  if (old) return { status: 'Accepted', connectorId: params.connectorId, scheduleStart: stamp(), chargingSchedule: schedule };
  return { status: 'Accepted', schedule: { ...schedule, evseId: params.evseId, duration: params.duration, scheduleStart: stamp() } };
});
client.handle('ChangeConfiguration', ({ params }) => {
  if (params.key === 'MeterValueSampleInterval') sampleS = Number(params.value);
  return { status: 'Accepted' };
});
client.handle('GetConfiguration', () => ({ configurationKey: [], unknownKey: ['ChargingScheduleAllowedChargingRateUnit'] }));
client.handle('SetVariables', ({ params }) => ({
  setVariableResult: params.setVariableData.map((one) => {
    if (one.variable.name === 'TxUpdatedInterval') sampleS = Number(one.attributeValue);
    return { attributeStatus: 'Accepted', component: one.component, variable: one.variable };
  }),
}));
client.handle('GetVariables', ({ params }) => ({
  getVariableResult: params.getVariableData.map((one) => ({
    attributeStatus: 'UnknownVariable', component: one.component, variable: one.variable,
  })),
}));
client.handle(({ method }) => { throw createRPCError('NotImplemented', `${method} is not known`); });

function values() {
  if (old) {
    return [{ timestamp: stamp(), sampledValue: [
      { value: powerW().toFixed(1), measurand: 'Power.Active.Import', unit: 'W' },
      { value: energyWh.toFixed(0), measurand: 'Energy.Active.Import.Register', unit: 'Wh' },
    ] }];
  }
  return [{ timestamp: stamp(), sampledValue: [
    { value: powerW(), measurand: 'Power.Active.Import', unitOfMeasure: { unit: 'W' } },
    { value: Math.round(energyWh), measurand: 'Energy.Active.Import.Register', unitOfMeasure: { unit: 'Wh' } },
  ] }];
}
const event = (eventType, triggerReason) => client.call('TransactionEvent', {
  eventType, triggerReason, timestamp: stamp(), seqNo: seq++, evse: { id: 1, connectorId: 1 }, meterValue: values(),
  transactionInfo: { transactionId: transaction, chargingState: currentA() > 0 ? 'Charging' : 'SuspendedEVSE' },
});

async function begin() {
  const boot = old
    ? { chargePointVendor: 'other', chargePointModel: 'independent' }
    : { reason: 'PowerUp', chargingStation: { vendorName: 'other', model: 'independent' } };
  const answer = await client.call('BootNotification', boot);
  if (answer.status !== 'Accepted') throw new Error(`boot was answered ${answer.status}`);
  origin = { at: Date.parse(answer.currentTime), by: process.hrtime.bigint() };
  boots += 1;
  if (old) {
    await client.call('Authorize', { idTag: 'other' });
    await client.call('StatusNotification', { connectorId: 1, errorCode: 'NoError', status: 'Preparing' });
    const begun = await client.call('StartTransaction',
      { connectorId: 1, idTag: 'other', meterStart: Math.round(energyWh), timestamp: stamp() });
    transaction = begun.transactionId;
    await client.call('StatusNotification', { connectorId: 1, errorCode: 'NoError', status: 'Charging' });
  } else {
    await client.call('StatusNotification', { timestamp: stamp(), connectorStatus: 'Occupied', evseId: 1, connectorId: 1 });
    transaction = `other-${Date.now()}`;
    await event('Started', 'CablePluggedIn');
  }
}
async function measure() {
  if (!old) return event('Updated', 'MeterValuePeriodic');
  return client.call('MeterValues', { connectorId: 1, transactionId: transaction, meterValue: values() });
}
async function main() {
  await client.connect();
  await begin();
  let measured = now(), beat = now();
  setInterval(() => {
    energyWh += powerW() / 3600 * 0.1 * speed;
    const state = { limit_a: limitA(), current_a: currentA(), transaction, connected: client.state === RPCClient.OPEN,
      boots, disconnects: hello, broken, sample_s: sampleS };
    process.stdout.write(`${JSON.stringify(state)}\n`);
  }, 100);
  for (;;) {
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    if (client.state !== RPCClient.OPEN) continue;
    try {
      if (now() - measured >= 1000 * sampleS) { measured = now(); await measure(); }
      if (now() - beat >= 30000) { beat = now(); await client.call('Heartbeat', {}); }
    } catch (error) {
      if (client.state === RPCClient.OPEN) broken.push(String(error));
    }
  }
}
main().catch((error) => { process.stdout.write(`${JSON.stringify({ failed: String(error) })}\n`); process.exit(1); });
