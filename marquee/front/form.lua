-- txn.no_form is set for a body that is said to be a web form and is none: curl says so of every
-- --data-binary. What has arrived of it tells: a form is ASCII text, and each % begins %hh.
core.register_action("form", { "http-req" }, function(txn)
  local body = txn.f:req_body() or ""
  if txn.f:req_body_size() > #body then
    body = body:gsub("%%%x?$", "") -- the rest of this escape has not arrived yet
  end
  local unescaped = body:gsub("%%%x%x", "")
  if body:find("[^\9\10\13\32-\126]") or unescaped:find("%", 1, true) then
    txn:set_var("txn.no_form", true)
  end
end, 0)
