-- wrk's script: one request over and over, every answer compared with the network's own.
-- Arguments: a file with the body, a file with the headers (a line each), and the ten expected
-- probabilities in the order of the classes, as NAME=VALUE; then the tolerance.
-- The script's last line of output is JSON.

local threads = {}
local expected, names, tolerance = {}, {}, 0
local known = {}

function setup(thread)
   table.insert(threads, thread)
end

local function content(path)
   local file = assert(io.open(path, "rb"))
   local text = file:read("*a")
   file:close()
   return text
end

function init(args)
   wrong, failed, example = 0, 0, ""
   wrk.method = "POST"
   wrk.body = content(args[1])
   for line in io.lines(args[2]) do
      local name, value = line:match("^(.-): (.*)$")
      wrk.headers[name] = value
   end
   tolerance = tonumber(args[3])
   for index = 4, #args do
      local name, value = args[index]:match("^(.-)=(.*)$")
      table.insert(names, name)
      expected[name] = tonumber(value)
   end
   prepared = wrk.format()
end

function request()
   return prepared
end

local function listed(body)
   local numbers = body:match('"data"%s*:%s*%[([^%]]*)%]')
   if not numbers then return nil end
   local found, index = {}, 1
   for number in numbers:gmatch("[^,%s]+") do
      found[names[index] or "more"] = tonumber(number)
      index = index + 1
   end
   return found
end

local function named(body)
   local found = {}
   for _, name in ipairs(names) do
      found[name] = tonumber(body:match('"' .. name .. '"%s*:%s*([%d%.eE+-]+)'))
   end
   return found
end

local function right(body)
   local found = listed(body) or named(body)
   for name, value in pairs(expected) do
      if not found[name] or math.abs(found[name] - value) > tolerance then return false end
   end
   return true
end

function response(status, headers, body)
   if status ~= 200 then
      failed = failed + 1
      example = body
   elseif known[body] == nil then
      -- Batches of other sizes differ in the last digits: each text is looked at once.
      known[body] = right(body)
      if not known[body] then example = body end
   end
   if status == 200 and not known[body] then wrong = wrong + 1 end
end

function done(summary, latency, requests)
   local bad, refused, said = 0, 0, ""
   for _, thread in ipairs(threads) do
      bad = bad + thread:get("wrong")
      refused = refused + thread:get("failed")
      said = thread:get("example")
   end
   local broken = summary.errors.connect + summary.errors.read + summary.errors.write
   io.write(string.format(
      '{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "wrong": %d, '
         .. '"failed": %d, "broken": %d, "example": %q}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3, bad, refused, broken + summary.errors.timeout,
      said:sub(1, 200):gsub("[^%w%s.,:_-]", " "):gsub("%s+", " ")
   ))
end
