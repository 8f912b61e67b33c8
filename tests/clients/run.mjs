// run.mjs BUILD CLIENTS: the tests with real clients. BUILD has the programs, CLIENTS the node_modules.
// Prints a line for each test and closes with "N passed, N failed[, N skipped]".
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { scripted } from './scripted.mjs';

const [build, clients] = process.argv.slice(2).map((p) => path.resolve(p));
const TOKEN = 'clients-token-1';
const HOST = '127.0.0.1';
const TEST_SECONDS = 120;

const require = createRequire(path.join(clients, 'package.json'));
const sdk = require('@anthropic-ai/sdk');
const Anthropic = sdk.default ?? sdk.Anthropic;
const tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'qcc-clients-'));
const ask = (model, more = {}) => ({
    model, max_tokens: 100, messages: [{ role: 'user', content: 'Hello' }], ...more,
});

// ---- processes

function start(program, args, log) {
    const out = fs.openSync(path.join(tmp, log), 'w');
    const child = spawn(program, args, { stdio: ['ignore', out, out] });
    fs.closeSync(out);
    child.ended = new Promise((resolve) => {
        child.on('error', (e) => resolve(e.message));
        child.on('exit', (code, signal) => resolve(signal ?? code));
    });
    return child;
}

function readLog(log) {
    return fs.readFileSync(path.join(tmp, log), 'utf8');
}

// A free port below those that the kernel gives to outgoing connections, which would take it away again.
async function freePort() {
    for (;;) {
        const port = 20000 + Math.floor(Math.random() * 12000);
        const server = net.createServer();
        const free = await new Promise((resolve) => {
            server.once('error', () => resolve(false));
            server.listen(port, HOST, () => resolve(true));
        });
        await new Promise((resolve) => server.close(resolve));
        if (free) return port;
    }
}

// Asks again until `probe` gives something true; null when it did not within the time.
async function until(probe, ms) {
    const end = Date.now() + ms;
    for (;;) {
        const got = await probe();
        if (got) return got;
        if (Date.now() >= end) return null;
        await sleep(20);
    }
}

const answers = (url) => fetch(url, { method: 'HEAD' }).then(() => true, () => false);

// ---- the house under test. Each endpoint offers one model, so that a test names its upstream by the
// model; weight 0 keeps the odd ones from requests that name none.

const ports = { fake: await freePort(), qcc: await freePort() };
const base = `http://${HOST}:${ports.qcc}`;
const fakeBase = `http://${HOST}:${ports.fake}`;
const endpoints = {
    good: { spec: 'events=8', models: ['claude-*', 'test-good', 'test-two'], weight: 100 },
    dead: { spec: 'status=503', models: ['test-two'], weight: 0 },
    endless: { spec: 'events=100000,gap_ms=20', models: ['test-endless'], weight: 0 },
    silent: { spec: 'delay_ms=60000', models: ['test-silent'], weight: 0 },
    refusing: { spec: 'status=400,message=no%20such%20tool', models: ['test-refusing'], weight: 0 },
    maker: {
        spec: 'openai=kimi,think=hm,tool=weather,arguments=%7B%22city%22%3A%22Bonn%22%7D', models: ['test-maker'], weight: 0,
        protocol: 'openai',
    },
    breaking: { spec: 'events=8,close_after_events=3', models: ['test-breaking'], weight: 0 },
};

function configuration() {
    const list = Object.entries(endpoints).map(([name, e]) => `
  - name: ${name}
    base_url: ${fakeBase}/s/${e.spec}
    api_key: key-of-${name}
    weight: ${e.weight}
    protocol: ${e.protocol ?? 'anthropic'}
    models: {allow: [${e.models.map((m) => JSON.stringify(m)).join(', ')}]}`);
    return `listen: ${HOST}:${ports.qcc}
workers: 2
admin: {listen: off}
control_socket: ${tmp}/control.sock
clients: [{name: tester, token: ${TOKEN}}]
retry: {transient_delay: 10ms}
upstream: {list_models: false}
endpoints:${list.join('')}
`;
}

// What the simulated upstream counts for an endpoint.
async function stats(name) {
    const all = await (await fetch(`${fakeBase}/_stats`)).json();
    return all.sites[`/s/${endpoints[name].spec}`] ?? { requests: 0, open: 0 };
}

// Whether the upstream sees within a second that nobody reads any more.
async function endsUpstream(name) {
    return await until(async () => (await stats(name)).open === 0, 1000);
}

// Without retries of its own: what QCC does not repair is seen.
const client = (options = {}) => new Anthropic({ baseURL: base, apiKey: TOKEN, maxRetries: 0, ...options });

// ---- tests

const tests = {
    'message': async () => {
        const { data, response } = await client().messages.create(ask('test-good')).withResponse();
        assert.equal(data.type, 'message');
        assert.ok(data.content[0].text.length > 0);
        assert.ok(data.usage.output_tokens > 0);
        assert.equal(response.headers.get('x-qcc-endpoint'), 'good');
        assert.equal(response.headers.get('x-qcc-attempts'), '1');
        assert.ok(response.headers.get('x-qcc-request-id'));
    },

    'stream': async () => {
        const seen = [];
        for await (const event of await client().messages.create(ask('test-good', { stream: true })))
            seen.push(event.type);
        assert.equal(seen[0], 'message_start');
        assert.equal(seen.at(-1), 'message_stop');
        assert.ok(seen.filter((t) => t === 'content_block_delta').length > 0);
    },

    'stream, gathered by the SDK': async () => {
        const stream = client().messages.stream(ask('test-good'));
        let text = '';
        stream.on('text', (t) => { text += t; });
        const message = await stream.finalMessage();
        assert.equal(message.content[0].text, text);
        assert.equal(message.stop_reason, 'end_turn');
    },

    'thirty streams at once': async () => {
        const all = await Promise.all(Array.from({ length: 30 }, () =>
            client().messages.stream(ask('test-good')).finalMessage()));
        assert.ok(all.every((m) => m.stop_reason === 'end_turn'));
    },

    'abort in the stream ends the upstream request': async () => {
        const stream = await client().messages.create(ask('test-endless', { stream: true }));
        let events = 0;
        for await (const _ of stream) {
            events += 1;
            if (events === 5) {
                assert.equal((await stats('endless')).open, 1);
                stream.controller.abort();
            }
        }
        assert.ok(await endsUpstream('endless'), 'the upstream still sends after a second');
    },

    'abort before the reply ends the upstream request': async () => {
        const abort = new AbortController();
        const pending = client().messages.create(ask('test-silent'), { signal: abort.signal });
        pending.catch(() => {});
        assert.ok(await until(async () => (await stats('silent')).open === 1, 10000), 'never arrived');
        abort.abort();
        await assert.rejects(pending, sdk.APIUserAbortError);
        assert.ok(await endsUpstream('silent'), 'the upstream still waits after a second');
    },

    'count_tokens': async () => {
        const { model, messages } = ask('test-good');
        const count = await client().messages.countTokens({ model, messages });
        assert.ok(count.input_tokens > 0);
    },

    'models': async () => {
        const ids = [];
        for await (const model of client().models.list()) ids.push(model.id);
        assert.ok(ids.length > 0);
    },

    'token as Authorization: Bearer': async () => {
        const bearer = client({ apiKey: null, authToken: TOKEN });
        assert.equal((await bearer.messages.create(ask('test-good'))).type, 'message');
    },

    'token as x-api-key': async () => {
        const xApiKey = client({ defaultHeaders: { 'x-api-key': TOKEN, authorization: null } });
        assert.equal((await xApiKey.messages.create(ask('test-good'))).type, 'message');
    },

    "the endpoint gets its own key, not the client's": async () => {
        await client().messages.create(ask('test-good'));
        const seen = JSON.stringify((await stats('good')).last);
        assert.ok(seen.includes('key-of-good'), seen);
        assert.ok(!seen.includes(TOKEN), seen);
    },

    'a wrong token is told at once': async () => {
        const before = (await stats('good')).requests;
        const wrong = client({ apiKey: 'wrong', maxRetries: 5 });
        const error = await wrong.messages.create(ask('test-good')).then(() => null, (e) => e);
        assert.ok(error instanceof sdk.AuthenticationError, String(error));
        assert.equal(error.headers.get('x-should-retry'), 'false');
        assert.equal(error.error.type, 'error');
        assert.equal((await stats('good')).requests, before);
    },

    'an error of the upstream comes as it is': async () => {
        const error = await client().messages.create(ask('test-refusing')).then(() => null, (e) => e);
        assert.ok(error instanceof sdk.BadRequestError, String(error));
        assert.equal(error.error.error.message, 'no such tool');
    },

    'an endpoint that fails is not noticed': async () => {
        for (let i = 0; i < 10; i++) {
            const { response } = await client().messages.create(ask('test-two')).withResponse();
            assert.equal(response.headers.get('x-qcc-endpoint'), 'good');
        }
    },

    'a stream that breaks off is an error, not an end': async () => {
        const seen = [];
        await assert.rejects(async () => {
            for await (const event of await client().messages.create(ask('test-breaking', { stream: true })))
                seen.push(event.type);
        }, sdk.APIError);
        assert.ok(!seen.includes('message_stop'));
    },

    'a tool of the SDK, called by another maker': async () => {
        const tools = [{ name: 'weather', input_schema: { type: 'object', properties: { city: { type: 'string' } } } }];
        const more = { tools, thinking: { type: 'enabled', budget_tokens: 1024 }, max_tokens: 2000 };
        for (const whole of [true, false]) {
            const say = (body) => whole ? client().messages.create(body) : client().messages.stream(body).finalMessage();
            const first = await say(ask('test-maker', more));
            const call = first.content.at(-1);
            assert.equal(first.content[0].thinking, 'hm');
            assert.deepEqual([call.type, call.name, call.input], ['tool_use', 'weather', { city: 'Bonn' }]);
            assert.equal(first.stop_reason, 'tool_use');
            const second = await say(ask('test-maker', {
                ...more, messages: [{ role: 'user', content: 'How is it in Bonn?' }, { role: 'assistant', content: first.content },
                    { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'rain' }] }],
            }));
            assert.match(second.content.at(-1).text, /How is it in Bonn/);
            assert.equal(second.stop_reason, 'end_turn');
        }
    },

    'Claude Code, token as Authorization: Bearer': async () => {
        const run = await claudeCode({ ANTHROPIC_AUTH_TOKEN: TOKEN });
        assert.equal(run.status, 0, run.text);
        assert.ok(run.text.trim().length > 0);
    },

    'Claude Code, token as x-api-key': async () => {
        const run = await claudeCode({ ANTHROPIC_API_KEY: TOKEN });
        assert.equal(run.status, 0, run.text);
        assert.ok(run.text.trim().length > 0);
    },

    'Claude Code is told of a wrong token at once': async () => {
        const run = await claudeCode({ ANTHROPIC_AUTH_TOKEN: 'wrong' });
        assert.notEqual(run.status, 0, run.text);
        assert.match(run.text, /401/);
    },
};

// ---- sessions of Claude Code: a house of its own for each, in front of scripted endpoints

// names: the scripted endpoints, best first; [name, name]: equals. Runs `session` with
// {script, turn(prompt, ...options), log()}.
async function house(names, session) {
    const at = { script: await freePort(), qcc: await freePort() };
    const script = await scripted(at.script, HOST);
    const name = `house-${at.qcc}`;
    const list = names.flatMap((group, i) => [group].flat().map((n) => `
  - {name: ${n}, ${n.startsWith('maker') ? `protocol: openai, base_url: "http://${HOST}:${at.script}/${n}/v1"` : `base_url: "http://${HOST}:${at.script}/${n}"`}, api_key: key-of-${n}, priority: ${i + 1}}`));
    fs.writeFileSync(path.join(tmp, `${name}.yaml`), `listen: ${HOST}:${at.qcc}
workers: 2
admin: {listen: off}
control_socket: ${tmp}/${name}.sock
clients: [{name: tester, token: ${TOKEN}}]
balance: {use_priority: true}
retry: {transient_delay: 10ms, max_attempts: 20}
upstream: {list_models: false}
failure_queue: {probe: off}
endpoints:${list.join('')}
`, { mode: 0o600 });
    const qcc = start(path.join(build, 'qcc-supervisor'), ['-c', path.join(tmp, `${name}.yaml`)], `${name}.log`);
    const log = () => readLog(`${name}.log`);
    const home = fs.mkdtempSync(path.join(tmp, 'home-'));
    try {
        const url = `http://${HOST}:${at.qcc}`;
        assert.ok(await until(() => answers(`${url}/`), 20000), 'QCC does not serve');
        const turn = async (prompt, ...options) => {
            const run = await claude(['-p', prompt, '--allowedTools', 'Read,Task,Agent', ...options],
                home, { ANTHROPIC_BASE_URL: url, ANTHROPIC_AUTH_TOKEN: TOKEN });
            assert.equal(run.status, 0, `${run.text}\n${log()}`);
            return run.text.trim();
        };
        await session({ script, turn, log, home });
    } finally {
        qcc.kill('SIGTERM');
        await qcc.ended;
        script.close();
    }
    assert.doesNotMatch(log(), /Sanitizer|runtime error/);
}

const served = (script, endpoint) => script.requests.filter((r) => r.endpoint === endpoint && /^\/v1\/(messages|chat\/completions)$/.test(r.path));

const sessions = {
    'Claude Code notices none of seven ways to fail': () =>
        house(['overloaded', 'unauthorized', 'limited', 'error-first', 'error-200', 'page', 'closing', 'good'], async ({ script, turn }) => {
            assert.match(await turn('say fine'), /you said: say fine/);
            for (const name of ['overloaded', 'unauthorized', 'limited', 'error-first', 'error-200', 'page', 'closing'])
                assert.ok(served(script, name).length > 0, `${name} was not asked`);
        }),

    'Claude Code goes on when its stream breaks off': () =>
        house(['cut'], async ({ script, turn }) => {
            assert.match(await turn('say whole'), /you said: say whole/);
            assert.ok(served(script, 'cut').some((r) => r.stream) && served(script, 'cut').some((r) => !r.stream));
        }),

    'Claude Code calls a tool': () =>
        house(['error-first', 'good'], async ({ script, turn, home }) => {
            fs.writeFileSync(path.join(home, 'note.txt'), 'the word is xylophone\n');
            assert.match(await turn(`READ-FILE(${path.join(home, 'note.txt')})`), /the tool said: [^]*xylophone/);
            assert.ok(served(script, 'good').length >= 2);
        }),

    'Claude Code calls a tool through another maker': () =>
        house(['maker'], async ({ script, turn, home }) => {
            fs.writeFileSync(path.join(home, 'note.txt'), 'the word is marimba\n');
            assert.match(await turn(`READ-FILE(${path.join(home, 'note.txt')})`), /the tool said: [^]*marimba/);
            assert.match(await turn('say more', '--continue'), /you said: say more/);
            assert.ok(served(script, 'maker').length >= 3);
        }),

    'a loop of tools changes from another maker to Anthropic': () =>
        house(['maker-once', 'good'], async ({ script, turn, home }) => {
            fs.writeFileSync(path.join(home, 'note.txt'), 'the word is celesta\n');
            assert.match(await turn(`READ-FILE(${path.join(home, 'note.txt')})`), /the tool said: [^]*celesta/);
            assert.ok(served(script, 'maker-once').length >= 2 && served(script, 'good').length >= 1);
        }),

    'a loop of tools changes from Anthropic to another maker': () =>
        house(['once', 'maker'], async ({ script, turn, home }) => {
            fs.writeFileSync(path.join(home, 'note.txt'), 'the word is dulcimer\n');
            assert.match(await turn(`READ-FILE(${path.join(home, 'note.txt')})`), /the tool said: [^]*dulcimer/);
            assert.ok(served(script, 'once').length >= 2 && served(script, 'maker').length >= 1);
        }),

    'Claude Code asks a sub-agent, which goes where its parent goes': () =>
        house([['one', 'two', 'three', 'four']], async ({ script, turn }) => {
            assert.match(await turn('ASK-CHILD(say orange)'), /the tool said: [^]*you said: say orange/);
            const asked = script.requests.filter((r) => /ASK-CHILD|say orange/.test(r.said));
            assert.equal(new Set(asked.map((r) => r.session)).size, 1);
            assert.equal(new Set(asked.map((r) => r.endpoint)).size, 1, JSON.stringify(asked));
        }),

    'Claude Code goes on with a conversation at its endpoint': () =>
        house([['one', 'two', 'three', 'four']], async ({ script, turn }) => {
            await turn('say first');
            await turn('say second', '--continue');
            await turn('say third', '--continue');
            const asked = script.requests.filter((r) => /say (first|second|third)/.test(r.said));
            assert.equal(new Set(asked.map((r) => r.session)).size, 1);
            assert.equal(new Set(asked.map((r) => r.endpoint)).size, 1, JSON.stringify(asked));
            assert.ok(asked.length >= 3);
        }),
};

class Skip extends Error {}

// One turn of Claude Code as a user would type it, in a home of its own, with nothing of ours in its
// environment but what is given.
async function claudeCode(environment) {
    const before = (await stats('good')).requests;
    const run = await claude(['-p', 'hi'], fs.mkdtempSync(path.join(tmp, 'home-')), { ANTHROPIC_BASE_URL: base, ...environment });
    if (run.status === 0) assert.ok((await stats('good')).requests > before, 'it did not come through QCC');
    return run;
}

async function claude(args, home, environment) {
    const program = path.join(clients, 'node_modules/.bin/claude');
    if (!fs.existsSync(program)) throw new Skip('Claude Code could not be installed from npm');
    const child = spawn(program, args, {
        cwd: home,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
            PATH: process.env.PATH, HOME: home, LANG: 'C.UTF-8',
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1', ...environment,
        },
    });
    let text = '';
    child.stdout.on('data', (d) => { text += d; });
    child.stderr.on('data', (d) => { text += d; });
    const late = setTimeout(() => child.kill('SIGKILL'), 60000);
    const status = await new Promise((resolve) => {
        child.on('error', (e) => { text += e.message; resolve('no start'); });
        child.on('close', (code, signal) => resolve(signal ?? code));
    });
    clearTimeout(late);
    return { status, text };
}

// ---- the run

const count = { passed: 0, failed: 0, skipped: 0 };

async function check(name, test) {
    let late;
    const deadline = new Promise((_, reject) => {
        late = setTimeout(() => reject(new Error(`took longer than ${TEST_SECONDS} s`)), TEST_SECONDS * 1000);
    });
    try {
        await Promise.race([test(), deadline]);
        count.passed += 1;
        console.log(`ok      ${name}`);
    } catch (e) {
        if (e instanceof Skip) {
            count.skipped += 1;
            console.log(`skipped ${name}: ${e.message}`);
        } else {
            count.failed += 1;
            console.log(`FAILED  ${name}: ${e.stack ?? e}`);
        }
    } finally {
        clearTimeout(late);
    }
}

fs.writeFileSync(path.join(tmp, 'qcc.yaml'), configuration(), { mode: 0o600 });
const fake = start(path.join(build, 'fake_upstream'), ['--quiet', '--listen', `${HOST}:${ports.fake}`], 'fake.log');
const qcc = start(path.join(build, 'qcc-supervisor'), ['-c', path.join(tmp, 'qcc.yaml')], 'qcc.log');

await check('starts', async () => {
    assert.ok(await until(() => answers(`${fakeBase}/_stats`), 10000), 'the simulated upstream does not serve');
    assert.ok(await until(() => answers(`${base}/`), 20000), 'QCC does not serve');
});
if (count.failed === 0)
    for (const [name, test] of Object.entries({ ...tests, ...sessions })) await check(name, test);

await check('stops cleanly', async () => {
    qcc.kill('SIGTERM');
    assert.equal(await qcc.ended, 0);
    assert.doesNotMatch(readLog('qcc.log'), /Sanitizer|runtime error/);
});
qcc.kill('SIGKILL');
fake.kill('SIGTERM');
await fake.ended;
if (count.failed > 0)
    for (const log of ['qcc.log', 'fake.log'])
        console.log(`---- ${log}\n${readLog(log).split('\n').slice(-60).join('\n')}`);
fs.rmSync(tmp, { recursive: true, force: true });

const skipped = count.skipped ? `, ${count.skipped} skipped` : '';
console.log(`${count.passed} passed, ${count.failed} failed${skipped}`);
process.exit(count.failed ? 1 : 0);
