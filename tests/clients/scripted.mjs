// scripted.mjs: endpoints for sessions of Claude Code: they answer as a model would that calls tools when
// it is told to, and fail as their name says. One server; the base path /NAME is the endpoint NAME.
//
// What a prompt says decides: READ-FILE(path) has the file read with the tool Read; ASK-CHILD(text) has a
// sub-agent asked, whose prompt is `text`; anything else is answered with its own words. After the tool's
// result the answer is "the tool said: …".
import http from 'node:http';

// What the user, or a tool, has said last.
function lastText(body) {
    const of = (content) => typeof content === 'string' ? content
        : content.map((c) => c.type === 'text' ? c.text : '').join('\n');
    const users = body.messages.filter((m) => m.role === 'user');
    return of(users.at(-1)?.content ?? '').replace(/<system-reminder>[^]*?<\/system-reminder>/g, '').trim();
}

function toolResult(body) {
    const last = body.messages.filter((m) => m.role === 'user').at(-1)?.content;
    const result = Array.isArray(last) ? last.find((c) => c.type === 'tool_result') : null;
    return result && (typeof result.content === 'string' ? result.content : result.content.map((c) => c.text ?? '').join(''));
}

let calls = 0;

function answer(body) {
    const result = toolResult(body), said = lastText(body);
    const tool = (names, input) => {
        const name = names.find((n) => (body.tools ?? []).some((t) => t.name === n));
        return name && { type: 'tool_use', id: `toolu_${++calls}`, name, input };
    };
    if (result) return { type: 'text', text: `the tool said: ${result}` };
    const read = /READ-FILE\((.*?)\)/.exec(said), child = /ASK-CHILD\((.*?)\)/.exec(said);
    return (read && tool(['Read'], { file_path: read[1] }))
        || (child && tool(['Task', 'Agent'], { description: 'ask', prompt: child[1], subagent_type: 'general-purpose' }))
        || { type: 'text', text: `you said: ${said}` };
}

function message(body, content) {
    return {
        id: `msg_${++calls}`, type: 'message', role: 'assistant', model: body.model, content: [content],
        stop_reason: content.type === 'text' ? 'end_turn' : 'tool_use', stop_sequence: null,
        usage: { input_tokens: 10, output_tokens: 5 },
    };
}

// The events of a message, as texts.
function stream(body, content) {
    const whole = message(body, content);
    const event = (type, more) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
    const delta = content.type === 'text' ? { type: 'text_delta', text: content.text }
        : { type: 'input_json_delta', partial_json: JSON.stringify(content.input) };
    const empty = content.type === 'text' ? { ...content, text: '' } : { ...content, input: {} };
    return [
        event('message_start', { message: { ...whole, content: [], stop_reason: null } }),
        event('content_block_start', { index: 0, content_block: empty }),
        event('content_block_delta', { index: 0, delta }),
        event('content_block_stop', { index: 0 }),
        event('message_delta', { delta: { stop_reason: whole.stop_reason, stop_sequence: null }, usage: { output_tokens: 5 } }),
        event('message_stop', {}),
    ];
}

// ---- endpoints named maker…: the same over Chat Completions

function makersAnswer(body) {
    const last = body.messages.at(-1);
    const said = lastText({ messages: body.messages.map((m) => ({ ...m, content: m.content ?? '' })) });
    if (last.role === 'tool') return { text: `the tool said: ${last.content}` };
    const read = /READ-FILE\((.*?)\)/.exec(said);
    if (read && body.tools?.some((t) => t.function.name === 'Read'))
        return { call: { id: `functions.Read:${calls++}`, name: 'Read', arguments: JSON.stringify({ file_path: read[1] }) } };
    return { text: `you said: ${said}` };
}

function chunks(body) {
    const { text, call } = makersAnswer(body);
    const choice = (delta, finish_reason = null) => ({ choices: [{ index: 0, delta, finish_reason }] });
    const half = (call?.arguments.length ?? 0) >> 1;
    const piece = (args, more = {}) => choice({ tool_calls: [{ index: 0, ...more, function: { ...more.function, arguments: args } }] });
    return [
        choice({ role: 'assistant', content: '' }),
        choice({ reasoning_content: 'Let me see.' }),
        ...(call ? [
            piece('', { id: call.id, type: 'function', function: { name: call.name } }),
            piece(call.arguments.slice(0, half)), piece(call.arguments.slice(half)),
        ] : [choice({ content: text })]),
        choice({}, call ? 'tool_calls' : 'stop'),
        { choices: [], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } },
    ].map((c) => `data: ${JSON.stringify(c)}\n\n`).concat('data: [DONE]\n\n');
}

function completion(body) {
    const { text, call } = makersAnswer(body);
    const tool_calls = call && [{ id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } }];
    return {
        choices: [{ index: 0, message: { role: 'assistant', content: text ?? null, tool_calls }, finish_reason: call ? 'tool_calls' : 'stop' }],
        usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    };
}

// Whether the request brings the result of a tool, in either protocol.
const bringsResult = (body) => body.messages.at(-1).role === 'tool' || Boolean(toolResult(body));

const fault = (type) => JSON.stringify({ type: 'error', error: { type, message: `a scripted ${type}` } });
const refuse = (status, type, headers = {}) => (res) => {
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    res.end(fault(type));
};
const sse = { 'content-type': 'text/event-stream' };

// By name: how an endpoint fails. Everything else answers.
const failures = {
    overloaded: refuse(529, 'overloaded_error'),
    unauthorized: refuse(401, 'authentication_error'),
    limited: refuse(429, 'rate_limit_error', { 'retry-after': '30' }),
    'error-first': (res) => { res.writeHead(200, sse); res.end(`event: error\ndata: ${fault('api_error')}\n\n`); },
    'error-200': (res) => { res.writeHead(200, { 'content-type': 'application/json' }); res.end(fault('api_error')); },
    page: (res) => { res.writeHead(200, { 'content-type': 'text/html' }); res.end('<html><body>Please sign in</body></html>'); },
    closing: (res) => res.socket.destroy(),
    // Call a tool, and do not take its result.
    'maker-once': (res, body) => bringsResult(body) && refuse(503, 'server_error')(res) !== false,
    once: (res, body) => bringsResult(body) && refuse(503, 'api_error')(res) !== false,
    // Breaks off within its answer to a streaming request, and serves others.
    cut: (res, body) => {
        if (!body.stream) return false;
        res.writeHead(200, sse);
        res.write(stream(body, answer(body)).slice(0, 3).join(''));
        setTimeout(() => res.socket.destroy(), 50);
        return true;
    },
};

// Listens; .requests: what came, [{endpoint, path, session, agent, stream}].
export async function scripted(port, host) {
    const requests = [];
    const server = http.createServer(async (req, res) => {
        let text = '';
        for await (const piece of req) text += piece;
        const [, endpoint, path] = /^\/([^/]+)(\/[^?]*)/.exec(req.url) ?? [null, '', req.url];
        const body = text ? JSON.parse(text) : {};
        requests.push({
            endpoint, path, session: req.headers['x-claude-code-session-id'], stream: body.stream === true, said: body.messages ? lastText(body) : '',
        });
        const failed = failures[endpoint]?.(res, body);
        if (failures[endpoint] && failed !== false) return;
        if (path === '/v1/chat/completions' && endpoint.startsWith('maker')) {
            res.writeHead(200, body.stream ? sse : { 'content-type': 'application/json' });
            for (const chunk of body.stream ? chunks(body) : [JSON.stringify(completion(body))]) res.write(chunk);
            res.end();
        } else if (path !== '/v1/messages' || req.method !== 'POST') {
            refuse(404, 'not_found_error')(res);
        } else if (body.stream) {
            res.writeHead(200, sse);
            for (const event of stream(body, answer(body))) res.write(event);
            res.end();
        } else {
            res.writeHead(200, { 'content-type': 'application/json' });
            res.end(JSON.stringify(message(body, answer(body))));
        }
    });
    await new Promise((resolve) => server.listen(port, host, resolve));
    return { requests, close: () => { server.closeAllConnections(); server.close(); } };
}
