-- A chat client for the blocks of t/*.t, over Debian's lua-nginx-websocket.
--
-- The library takes any HTTP answer for a handshake, so the handshake is done
-- here and looked at, and a client is connected when the hub's "log" came.
-- Nothing here waits for a time: everything waits for an event, TIMEOUT at the
-- longest.

local websocket = require "nginx.websocket.client"

local _M = {}
local client = {}
client.__index = client

local TIMEOUT = 15000
local MAX_PAYLOAD = 16 * 1024 * 1024

local null = setmetatable({}, { __tostring = function () return "null" end })
_M.null = null

-- an empty table is an object unless it is this or comes from JSON as one
local array_mark = {}

function _M.array(t)
    return setmetatable(t or {}, array_mark)
end


---- JSON ----

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b",
                  ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
                  ["\t"] = "\\t" }

local function quote(s)
    return '"' .. s:gsub('[%c"\\]', function (c)
        return escapes[c] or ("\\u%04x"):format(c:byte())
    end) .. '"'
end


-- Keys are sorted, so that a table has one text.

local function encode(value)
    local kind = type(value)

    if kind == "string" then
        return quote(value)
    end

    if kind == "number" then
        return ("%.17g"):format(value)
    end

    if kind ~= "table" or value == null then
        return tostring(value)
    end

    local parts = {}

    if #value > 0 or getmetatable(value) == array_mark then
        for i, v in ipairs(value) do
            parts[i] = encode(v)
        end

        return "[" .. table.concat(parts, ",") .. "]"
    end

    local keys = {}

    for k in pairs(value) do
        keys[#keys + 1] = k
    end

    table.sort(keys)

    for i, k in ipairs(keys) do
        parts[i] = quote(k) .. ":" .. encode(value[k])
    end

    return "{" .. table.concat(parts, ",") .. "}"
end

_M.encode = encode


local unescapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function utf8(code)
    if code < 0x80 then
        return string.char(code)
    end

    if code < 0x800 then
        return string.char(0xc0 + math.floor(code / 64), 0x80 + code % 64)
    end

    if code < 0x10000 then
        return string.char(0xe0 + math.floor(code / 4096),
                           0x80 + math.floor(code / 64) % 64,
                           0x80 + code % 64)
    end

    return string.char(0xf0 + math.floor(code / 262144),
                       0x80 + math.floor(code / 4096) % 64,
                       0x80 + math.floor(code / 64) % 64,
                       0x80 + code % 64)
end


local parse_value

local function skip(text, at)
    return text:find("[^ \t\r\n]", at) or #text + 1
end

local function broken(text, at)
    error(("not JSON at byte %d: %s"):format(at, text), 0)
end


local function parse_string(text, at)
    local parts = {}

    at = at + 1

    while true do
        local from, to = text:find('^[^"\\%z\1-\31]+', at)

        if from then
            parts[#parts + 1] = text:sub(from, to)
            at = to + 1
        end

        local c = text:sub(at, at)

        if c == '"' then
            return table.concat(parts), at + 1
        end

        if c ~= "\\" then
            broken(text, at)
        end

        local e = text:sub(at + 1, at + 1)

        if e == "u" then
            local hex = text:match("^%x%x%x%x", at + 2) or broken(text, at)
            local code = tonumber(hex, 16)

            at = at + 6

            if code >= 0xd800 and code < 0xdc00 then
                hex = text:match("^\\u(%x%x%x%x)", at) or broken(text, at)
                code = 0x10000 + (code - 0xd800) * 1024
                       + tonumber(hex, 16) - 0xdc00
                at = at + 6
            end

            parts[#parts + 1] = utf8(code)

        else
            if not e:find('["\\/bfnrt]') then
                broken(text, at)
            end

            parts[#parts + 1] = unescapes[e] or e
            at = at + 2
        end
    end
end


local function parse_list(text, at, close, item)
    at = skip(text, at + 1)

    if text:sub(at, at) == close then
        return at + 1
    end

    while true do
        at = skip(text, item(skip(text, at)))

        local c = text:sub(at, at)

        if c == close then
            return at + 1
        end

        if c ~= "," then
            broken(text, at)
        end

        at = at + 1
    end
end


function parse_value(text, at)
    local c = text:sub(at, at)

    if c == '"' then
        return parse_string(text, at)
    end

    if c == "{" then
        local object = {}

        at = parse_list(text, at, "}", function (from)
            if text:sub(from, from) ~= '"' then
                broken(text, from)
            end

            local key, to = parse_string(text, from)

            if object[key] ~= nil then
                error("repeated key in " .. text, 0)
            end

            to = skip(text, to)

            if text:sub(to, to) ~= ":" then
                broken(text, to)
            end

            object[key], to = parse_value(text, skip(text, to + 1))

            return to
        end)

        return object, at
    end

    if c == "[" then
        local list = _M.array()

        at = parse_list(text, at, "]", function (from)
            local value, to = parse_value(text, from)

            list[#list + 1] = value

            return to
        end)

        return list, at
    end

    local number = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)

    if number then
        return tonumber(number) or broken(text, at), at + #number
    end

    for word, value in pairs({ ["true"] = true, ["false"] = false,
                               ["null"] = null })
    do
        if text:sub(at, at + #word - 1) == word then
            return value, at + #word
        end
    end

    broken(text, at)
end


function _M.decode(text)
    local value, at = parse_value(text, skip(text, 1))

    if skip(text, at) <= #text then
        broken(text, at)
    end

    return value
end


---- names ----

local labels = {}
local named = 0

math.randomseed(ngx.now() * 1000 + ngx.worker.pid())


-- A room or user that no other run of a block has; show() prints its label.

function _M.name(label)
    named = named + 1

    local name = ("%s-%x-%x-%d"):format(label, ngx.worker.pid(),
                                        math.random(0x7fffffff), named)

    labels[name] = label

    return name
end


function _M.names(...)
    local names = {}

    for i, label in ipairs({ ... }) do
        names[i] = _M.name(label)
    end

    return unpack(names)
end


local patterns = {
    epoch = { "^%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x$", "EPOCH" },
    time = { "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", "TIME" },
    id = { "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-7%x%x%x%-[89ab]%x%x%x%-"
           .. "%x%x%x%x%x%x%x%x%x%x%x%x$", "UUIDv7" },
}


-- Values that differ in each run become words, where they have their form.

local function masked(value, key)
    if type(value) == "string" then
        local pattern = patterns[key]

        if pattern and value:find(pattern[1]) then
            return pattern[2]
        end

        if value:find("^guest%-[%w_-]+$") and #value == 14 then
            return "guest-XXXXXXXX"
        end

        return labels[value] or value
    end

    if type(value) ~= "table" or value == null then
        return value
    end

    local copy = setmetatable({}, getmetatable(value))

    for k, v in pairs(value) do
        copy[k] = masked(v, k)
    end

    return copy
end


-- Prints values on one line, as JSON but for plain strings.

function _M.show(...)
    local parts = {}

    for i = 1, select("#", ...) do
        local value = select(i, ...)

        if type(value) == "string" then
            parts[i] = labels[value] or value
        else
            parts[i] = encode(masked(value))
        end
    end

    ngx.say(table.concat(parts, " "))
    ngx.flush(true)
end


-- The fields of a message that the test is about.

function _M.pick(object, ...)
    local picked = {}

    for _, key in ipairs({ ... }) do
        picked[key] = object[key]
    end

    return picked
end


---- clients ----

local function read_headers(sock)
    local head = assert(sock:receiveuntil("\r\n\r\n")())
    local status = tonumber(head:match("^HTTP/1%.1 (%d%d%d)"))
    local headers = {}

    for key, value in head:gmatch("\r\n([^:\r\n]+): ?([^\r\n]*)") do
        headers[key:lower()] = value
    end

    return status, headers
end


-- options: uri, port, user, headers (lines), quiet (does not wait for "log").
-- Returns nil, status and body where the handshake was refused.

function _M.try(options)
    options = options or {}

    local self = setmetatable({ queue = {}, ref = 0 }, client)
    local ws = assert(websocket:new({ max_payload_len = MAX_PAYLOAD,
                                      timeout = options.timeout or TIMEOUT }))
    local port = options.port or ngx.var.server_port
    local uri = options.uri or "/ws"

    if options.user then
        uri = uri .. "?user=" .. ngx.escape_uri(options.user)
    end

    self.ws = ws
    self.sock = ws.sock
    self.user = options.user

    assert(self.sock:connect("127.0.0.1", port))

    local lines = {
        "GET " .. uri .. " HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    }

    for _, line in ipairs(options.headers or {}) do
        lines[#lines + 1] = line
    end

    assert(self.sock:send(table.concat(lines, "\r\n") .. "\r\n\r\n"))

    local status, headers = read_headers(self.sock)

    self.headers = headers

    if status ~= 101 then
        local size = tonumber(headers["content-length"] or 0)
        local body = size > 0 and self.sock:receive(size) or ""

        self.sock:close()

        return nil, status, body
    end

    assert(headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
           "wrong Sec-WebSocket-Accept")

    self.pid = headers["x-pid"]

    if not options.quiet then
        self.hello = self:wait("log")
    end

    return self
end


function _M.connect(options)
    local self, status, body = _M.try(options)

    if not self then
        error(("handshake refused: %d %s"):format(status, body), 2)
    end

    return self
end


-- Connected users, one for each name.

function _M.users(...)
    local clients = {}

    for i, name in ipairs({ ... }) do
        clients[i] = _M.connect({ user = name })
    end

    return unpack(clients)
end


-- Clients on as many different workers, by the header X-Pid of the handshake.

function _M.spread(count, options)
    local clients, seen = {}, {}

    for _ = 1, 500 do
        local self = _M.connect(options)

        if seen[self.pid] then
            self:close()

        else
            seen[self.pid] = true
            clients[#clients + 1] = self

            if #clients == count then
                return unpack(clients)
            end
        end
    end

    error("found no " .. count .. " workers", 2)
end


function client:send(event, data, ref)
    self:text(encode({ event = event, data = data, ref = ref }))
end


function client:text(text)
    assert(self.ws:send_text(text))
end


-- Bytes as they are.

function client:raw(bytes)
    assert(self.sock:send(bytes))
end


-- A frame whose parts may be wrong: fields fin, rsv, opcode, payload, mask
-- (four bytes, false for none), size (a number of bytes, or the encoded
-- length).

function _M.frame(field)
    local payload = field.payload or ""
    local mask = field.mask
    local first = (field.fin == false and 0 or 0x80) + (field.rsv or 0) * 16
                  + field.opcode
    local length = field.size or #payload
    local masking = 0x80

    if mask == false then
        masking, mask = 0, ""

    else
        mask = mask or "\0\0\0\0"
    end

    if type(length) == "number" then
        if length < 126 then
            length = string.char(masking + length)

        elseif length < 65536 then
            length = string.char(masking + 126, math.floor(length / 256),
                                 length % 256)

        else
            length = string.char(masking + 127, 0, 0, 0, 0,
                                 math.floor(length / 16777216) % 256,
                                 math.floor(length / 65536) % 256,
                                 math.floor(length / 256) % 256,
                                 length % 256)
        end
    end

    if mask ~= "" and mask ~= "\0\0\0\0" then
        local bytes = {}

        for i = 1, #payload do
            bytes[i] = string.char(bit.bxor(payload:byte(i),
                                            mask:byte((i - 1) % 4 + 1)))
        end

        payload = table.concat(bytes)
    end

    return string.char(first) .. length .. mask .. payload
end


function client:frame(field)
    self:raw(_M.frame(field))
end


-- The next event, from the queue or from the wire.  Pings are answered.  nil,
-- code and reason when the server closes; nil and an error when it is gone.

function client:read()
    while true do
        local text, kind, err = self.ws:recv_frame()

        if kind == "text" then
            return _M.decode(text)
        end

        if kind == "close" then
            self.closed = { code = err, reason = text }
            return nil, err or "none", text
        end

        if kind == "ping" then
            self.pings = (self.pings or 0) + 1
            assert(self.ws:send_pong(text))

        elseif kind == "pong" then
            self.pong = text
            return { event = "(pong)", data = text }

        else
            return nil, err or ("unexpected frame: " .. tostring(kind))
        end
    end
end


-- The data of the next event with the name for which "fits" holds; others
-- stay in the queue, in order.

function client:wait(event, fits)
    for i, e in ipairs(self.queue) do
        if e.event == event and (not fits or fits(e.data)) then
            table.remove(self.queue, i)
            return e.data
        end
    end

    while true do
        local e, err, reason = self:read()

        if not e then
            error(("no event %s: %s %s"):format(event, tostring(err),
                                                tostring(reason)), 2)
        end

        if e.event == event and (not fits or fits(e.data)) then
            return e.data
        end

        self.queue[#self.queue + 1] = e
    end
end


-- Sends an event and returns its answer: the ack's data, or nil and the
-- error's.

function client:ask(event, data)
    self.ref = self.ref + 1

    self:send(event, data, self.ref)

    return self:answer(self.ref)
end


function client:answer(ref)
    for i, e in ipairs(self.queue) do
        if e.ref == ref then
            table.remove(self.queue, i)
            return self:outcome(e)
        end
    end

    while true do
        local e, err, reason = self:read()

        if not e then
            error(("no answer: %s %s"):format(tostring(err),
                                              tostring(reason)), 3)
        end

        if e.ref == ref then
            return self:outcome(e)
        end

        self.queue[#self.queue + 1] = e
    end
end


function client:outcome(e)
    if e.event == "ack" then
        return e.data
    end

    if e.event == "error" then
        return nil, e.data
    end

    error("an answer that is neither ack nor error: " .. encode(e), 3)
end


-- ask() that must be acknowledged.

function client:must(event, data)
    local answer, err = self:ask(event, data)

    if not answer then
        error(("%s refused: %s"):format(event, encode(err)), 2)
    end

    return answer
end


-- ask() that must be refused; the code, and whether it says something.

function client:refused(event, data)
    local answer, err = self:ask(event, data)

    if answer then
        error(("%s accepted: %s"):format(event, encode(answer)), 2)
    end

    if type(err.message) ~= "string" or #err.message < 8 then
        error("an error without a message: " .. encode(err), 2)
    end

    return err.code
end


function client:say(room, data)
    return self:must("message", { room = room, data = data })
end


-- The next message of a room, of the broadcasts, or of another target.

function client:message(room)
    return self:wait("message", room and function (m)
        return m.room == room
    end)
end


-- All events with the name that came before the answer to a ping.

function client:got(event)
    self:must("ping", {})

    local found = _M.array()

    for i = #self.queue, 1, -1 do
        if self.queue[i].event == event then
            table.insert(found, 1, table.remove(self.queue, i).data)
        end
    end

    return found
end


-- How the server ends it: the close code and the reason.

function client:ending()
    while true do
        local e, code, reason = self:read()

        if not e then
            return code, reason
        end

        self.queue[#self.queue + 1] = e
    end
end


-- Says close and waits for the server's; returns its code.

function client:close(code, reason)
    assert(self.ws:send_close(code or 1000, reason))

    local answer = self:ending()

    self.sock:close()

    return answer
end


-- Goes without a word.

function client:vanish()
    self.sock:close()
end


function _M.close(...)
    for _, c in ipairs({ ... }) do
        c:close()
    end
end


return _M
