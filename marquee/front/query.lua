-- Query parameters become X-Marquee-* headers: TorchServe drops the query of /predictions.
-- ?top_k=3 is X-Marquee-Top-K: 3, and wins over such a header. model, model_name and
-- model_version of /invocations say who answers; they are no parameters. asked_by says that
-- marquee itself asks: it stays in the query, for TorchServe's access log.
local MOST, LONGEST = 64, 4096
local OWN_MARK = "asked_by=marquee"
local ROUTING = { model = "named_model", model_name = "named_model", model_version = "named_version" }

local function decoded(text)
  local plain = text:gsub("+", " ")
  if plain:gsub("%%%x%x", ""):find("%%") then
    return nil
  end
  return (plain:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function problem(name, value)
  if name == nil or not name:match("^[%w_-]+$") then
    return "a query parameter's name must be letters, digits, - and _"
  elseif value == nil or #value > LONGEST or value:find("[^\32-\126]") then
    return "query parameter '" .. name .. "' is no plain ASCII text of at most " .. LONGEST
      .. " bytes; send it in the body"
  end
end

core.register_action("query", { "http-req" }, function(txn)
  local query, invocations = txn.f:query(), txn.f:path():match("^/invocations/?$")
  local count, asked_by = 0, nil
  for pair in query:gmatch("[^&]+") do
    local raw_name, raw_value = pair:match("^([^=]*)=?(.*)$")
    local name, value = decoded(raw_name), decoded(raw_value)
    count = count + 1
    local wrong = problem(name, value)
    if count > MOST then wrong = "more than " .. MOST .. " query parameters; send them in the body" end
    if wrong then
      txn:set_var("txn.bad_query", wrong)
      return
    end
    if invocations and ROUTING[name] then
      txn:set_var("txn." .. ROUTING[name], value)
    elseif pair == OWN_MARK then
      asked_by = pair
    else
      txn.http:req_set_header("X-Marquee-" .. name:gsub("_", "-"), value)
    end
  end
  txn.http:req_set_query(asked_by or "")
end, 0)
