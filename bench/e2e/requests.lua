-- Sends the tokens of the file named in the first argument, one after the other and
-- again. The second argument is the method. With a third argument, "once", each token
-- is sent once, and the run ends with the last one.

local requests = {}
local at = 0
local once

-- Set in the thread, read at the end: answers with status 200.
passed = 0

local thread_of_run
function setup(thread)
	thread_of_run = thread
end

function init(args)
	for token in io.lines(args[1]) do
		requests[#requests + 1] = wrk.format(args[2], nil, { ["Authorization"] = "Bearer " .. token })
	end
	once = args[3] == "once"
	if once then
		response = function(status)
			if status == 200 then
				passed = passed + 1
			end
		end
	end
end

function request()
	at = at + 1
	if at > #requests then
		if once then
			wrk.thread:stop()
		end
		at = 1
	end
	return requests[at]
end

function done(summary, latency)
	local errors = summary.errors
	io.write(string.format(
		"result requests=%d passed=%d duration=%d p50=%d p99=%d failed=%d refused=%d\n",
		summary.requests, thread_of_run:get("passed"), summary.duration,
		latency:percentile(50), latency:percentile(99),
		errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
