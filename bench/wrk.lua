-- Sends prepared requests, one after another, in their order: all thinking was done before the clock started.
-- Called as: wrk … -s wrk.lua URL -- FILE, where FILE holds requests as "<bytes>\n<request>" one after the other.

local prepared, count, at = {}, 0, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  while true do
    local size = file:read("*n")
    if not size then break end
    file:read(1)
    count = count + 1
    prepared[count] = file:read(size)
  end
  file:close()
  assert(count > 0, "no requests")
end

function request()
  at = at % count + 1
  return prepared[at]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'figures {"requests":%d,"microseconds":%d,"bytes":%d,"p50":%d,"p99":%d,"max":%d,'
      .. '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency.max,
    e.connect, e.read, e.write, e.status, e.timeout))
end
