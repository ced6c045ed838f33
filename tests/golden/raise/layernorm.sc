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
  %gamma = const @gamma : f32[8]
  %beta = const @beta : f32[8]
  %eps = const 1e-05 : f32[]
  %y = layernorm %x, %gamma, %beta, %eps {axis = 1} : f32[n,8] from "Add_1", "Mul", "Div", "Sqrt", "Add", "ReduceMean_1", "Pow", "Sub", "ReduceMean"
}
