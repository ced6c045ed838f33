; run: raise
; idempotent
; rtol 1e-4
graph @g(%x: f32[2,5]) -> (%y, %z) {
  %r2 = const 1.4142135 : f32[]
  %one = const 1 : f32[]
  %half = const 0.5 : f32[]
  %1 = div %x, %r2 : f32[2,5] from "Div"
  %2 = erf %1 : f32[2,5] from "Erf"
  %3 = add %2, %one : f32[2,5] from "Add"
  %4 = mul %x, %3 : f32[2,5] from "Mul"
  %y = mul %4, %half : f32[2,5] from "Mul_1"
  %three = const 3 : f32[]
  %c = const 0.044715 : f32[]
  %s = const 0.7978846 : f32[]
  %5 = pow %x, %three : f32[2,5] from "Pow"
  %6 = mul %5, %c : f32[2,5] from "Mul_2"
  %7 = add %x, %6 : f32[2,5] from "Add_1"
  %8 = mul %7, %s : f32[2,5] from "Mul_3"
  %9 = tanh %8 : f32[2,5] from "Tanh"
  %10 = add %9, %one : f32[2,5] from "Add_2"
  %11 = mul %x, %half : f32[2,5] from "Mul_4"
  %z = mul %11, %10 : f32[2,5] from "Mul_5"
}
; --- both forms
graph @g(%x: f32[2,5]) -> (%y, %z) {
  %one = const 1 : f32[]
  %y = gelu %x, %one {approximate = none} : f32[2,5] from "Mul_1", "Mul", "Add", "Erf", "Div"
  %z = gelu %x, %one {approximate = tanh} : f32[2,5] from "Mul_5", "Mul_4", "Add_2", "Tanh", "Mul_3", "Add_1", "Mul_2", "Pow"
}
