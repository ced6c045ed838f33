; run: raise
; idempotent
; rtol 1e-5
graph @g(%x: f32[n,8]) -> (%y) {
  %gamma = const @gamma : f32[8]
  %beta = const @beta : f32[8]
  %two = const 2 : f32[]
  %eps = const 1e-05 : f32[]
  %1 = reduce_mean %x {axes = [-1]} : f32[n,1] from "ReduceMean"
  %2 = sub %x, %1 : f32[n,8] from "Sub"
  %3 = pow %2, %two : f32[n,8] from "Pow"
  %4 = reduce_mean %3 {axes = [-1]} : f32[n,1] from "ReduceMean_1"
  %5 = add %4, %eps : f32[n,1] from "Add"
  %6 = sqrt %5 : f32[n,1] from "Sqrt"
  %7 = div %2, %6 : f32[n,8] from "Div"
  %8 = mul %7, %gamma : f32[n,8] from "Mul"
  %y = add %8, %beta : f32[n,8] from "Add_1"
}
; --- the idiom as PyTorch writes it
graph @g(%x: f32[n,8]) -> (%y) {
  %3 = const 1 : f32[] from "Div", "Sqrt", "Add", "Sub", "ReduceMean", "ReduceMean_1", "Pow"
  %4 = const 0 : f32[] from "Div", "Sqrt", "Add", "Sub", "ReduceMean", "ReduceMean_1", "Pow"
  %eps = const 1e-05 : f32[]
  %6 = layernorm %x, %3, %4, %eps {axis = 1} : f32[n,8] from "Div", "Sqrt", "Add", "Sub", "ReduceMean", "ReduceMean_1", "Pow"
  %gamma = const @gamma : f32[8]
  %8 = mul %6, %gamma : f32[n,8] from "Mul"
  %beta = const @beta : f32[8]
  %y = add %8, %beta : f32[n,8] from "Add_1"
}
