; run: raise
; idempotent
; rtol 1e-5
graph @g(%x: f32[n,8]) -> (%a, %b, %c, %d, %e) {
  %1 = sigmoid %x : f32[n,8] from "Sigmoid"
  %a = mul %x, %1 : f32[n,8] from "Mul"
  %k = const 1.702 : f32[]
  %2 = mul %x, %k : f32[n,8] from "Mul_1"
  %3 = sigmoid %2 : f32[n,8] from "Sigmoid_1"
  %b = mul %3, %x : f32[n,8] from "QuickGelu"
  %4 = hard_sigmoid %x {alpha = 0.16666667163372, beta = 0.5} : f32[n,8] from "HardSigmoid"
  %c = mul %x, %4 : f32[n,8] from "Mul_2"
  %three = const 3 : f32[]
  %zero = const 0 : f32[]
  %six = const 6 : f32[]
  %5 = add %x, %three : f32[n,8] from "Add"
  %6 = clip %5, %zero, %six : f32[n,8] from "Clip"
  %7 = mul %x, %6 : f32[n,8] from "Mul_3"
  %d = div %7, %six : f32[n,8] from "Div"
  %8 = sigmoid %a : f32[n,8] from "Sigmoid_2"
  %e = mul %x, %8 : f32[n,8] from "a gate of another value"
}
; --- x times a gate of x
graph @g(%x: f32[n,8]) -> (%a, %b, %c, %c as d, %e) {
  %3 = const 1 : f32[] from "Mul", "Sigmoid"
  %a = silu %x, %3 : f32[n,8] from "Mul", "Sigmoid"
  %k = const 1.702 : f32[]
  %b = silu %x, %k : f32[n,8] from "QuickGelu", "Sigmoid_1", "Mul_1"
  %c = hard_swish %x : f32[n,8] from "Mul_2", "HardSigmoid"
  %8 = sigmoid %a : f32[n,8] from "Sigmoid_2"
  %e = mul %x, %8 : f32[n,8] from "a gate of another value"
}
