-- Prints the results of wrk as one line of JSON.
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"bytes":%d,"microseconds":%d,"p50":%d,"p99":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end

-- Requests one path after the other. All requests are made before the first one is sent.
ask_by_turns = function(paths)
  local requests, turn = {}, 0
  init = function()
    for i, path in ipairs(paths) do requests[i] = wrk.format(nil, path) end
  end
  request = function()
    turn = turn % #requests + 1
    return requests[turn]
  end
end
